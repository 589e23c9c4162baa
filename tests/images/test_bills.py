"""The bill of materials of an image, written twice."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.toolchain import ROOT

# The smallest that has packages of its own beside the base's.
IMAGE = "isola-sandbox-sidecar"


def bill(folder: Path) -> bytes:
    """Return what is written into a folder."""
    script = [ROOT / "hack" / "sbom.sh", folder, IMAGE]
    subprocess.run(script, stdout=subprocess.DEVNULL, check=True)
    return (folder / f"{IMAGE}.spdx.json").read_bytes()


@pytest.mark.e2e  # the image's builder is there
@pytest.mark.timeout(900)  # the first build of the image, and of what reads it
def test_the_same_image_has_the_same_bill_byte_for_byte(tmp_path: Path) -> None:
    first = bill(tmp_path / "first")
    assert first == bill(tmp_path / "second")
    told = json.loads(first)
    assert {"python3.11-minimal", "ca-certificates"} & {each["name"] for each in told["packages"]}
    assert told["documentNamespace"].startswith(f"https://isola.run/spdx/{IMAGE}-")
