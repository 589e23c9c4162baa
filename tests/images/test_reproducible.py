"""An image of ours, built twice from nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.toolchain import ROOT

# The smallest: what makes it the same is the same for all.
IMAGE = "isola-sandbox-sidecar"


def digest() -> str:
    """Return what the image is, built without anything that an earlier build left."""
    script = [ROOT / "hack" / "images.sh", "--no-cache", IMAGE]
    built = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True).stdout
    store = Path(os.environ.get("ISOLA_CACHE") or Path.home() / ".cache" / "isola") / "images"
    command = ["python3", ROOT / "hack" / "oci.py", "digest", store, built.strip().split("=")[1]]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.e2e
def test_the_same_source_gives_the_same_digest() -> None:
    first = digest()
    assert first.startswith("sha256:")
    assert first == digest()
