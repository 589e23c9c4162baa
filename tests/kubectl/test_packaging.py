"""What is built is all that a machine needs beside kubectl."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from isola_kubectl import VERSION
from isola_lifecycle.codec import encode
from support.stories import RUNNING, UID, log_of
from support.toolchain import ROOT

FOLDER = ROOT / "api" / "kubectl"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]


def uv(*arguments: str | Path) -> None:
    command = [ROOT / "hack" / "uv", *arguments, "--offline", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((), id="by way of a source archive"),
        pytest.param(("--wheel",), id="from the folder, as pipx and pip do"),
    ],
)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    build = ("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    uv(*build, *request.param, FOLDER)
    return folder


@pytest.fixture(scope="module")
def scripts(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an installation into an environment that has nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    uv("venv", "--clear", "--python", sys.executable, folder)
    wheel = next(built.glob("*.whl"))
    uv("pip", "install", "--no-deps", "--python", folder / "bin" / "python", wheel)
    return folder / "bin"


def test_an_installation_runs_on_an_empty_machine(scripts: Path, tmp_path: Path) -> None:
    entries = [encode(entry) for entry in log_of(RUNNING)]
    exported = tmp_path / "history.json"
    exported.write_text(json.dumps({"id": "s", "uid": UID, "entries": entries}))
    for script, words in {
        "isola-history": ("verify", "-f", exported),
        "kubectl-isola": ("--version",),
        "kubectl_complete-isola": ("ver",),
    }.items():
        done = subprocess.run(
            [scripts / script, *words],
            cwd=tmp_path,
            env={"PATH": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert {
            "isola-history": "intact  s",
            "kubectl-isola": f"kubectl isola {VERSION}",
            "kubectl_complete-isola": "verify\t",
        }[script] in done.stdout


def test_the_wheel_owns_the_plugin_and_the_kernel_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "isola_kubectl",
        "isola_lifecycle",
    }
    kernel = {
        path.relative_to(ROOT / "api") for path in (ROOT / "api").glob("isola_lifecycle/**/*.py")
    }
    assert kernel <= {Path(name) for name in names}
    assert not [name for name in names if name.endswith(".pyc")]


def test_it_needs_no_other_distribution_and_states_its_version_once() -> None:
    assert PROJECT["dependencies"] == []
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert PROJECT["version"] == server["version"] == VERSION
