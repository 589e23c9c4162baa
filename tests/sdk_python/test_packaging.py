"""What is built installs into an empty environment, and works there."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import httpx
import pydantic
import pytest

import isola_sdk
from support.toolchain import ROOT

FOLDER = ROOT / "api" / "sdk" / "python"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]

PROGRAM = """
import sys, isola
# What only a connection needs, and what only a model's first use needs, comes with that.
assert "httpcore" not in sys.modules
assert not isola.Container.__pydantic_complete__
print(isola.__version__, isola.Isola(url="http://h").sandboxes, isola)
"""
MANY_AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
from isola_sdk.models import Container, SandboxData
CONTAINER = {"image": "a", "resources": {"limits": {"cpu": "1"}}}
begin, made = threading.Barrier(16), []
def make():
    begin.wait()
    made.append((Container.model_validate(CONTAINER).wire(), SandboxData.model_fields.keys()))
threads = [threading.Thread(target=make) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(made), all(each == made[0] for each in made))
"""


def uv(*arguments: str | Path) -> None:
    command = [ROOT / "hack" / "uv", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was made of it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, FOLDER)
    return folder


def test_twine_finds_nothing(built: Path) -> None:
    packages = sorted(built.glob("isola_sdk-*"))
    assert len(packages) == 2
    alone = ("run", "--project", ROOT, "--frozen", "--isolated", "--only-group", "packaging")
    uv(*alone, "twine", "check", "--strict", *packages)


def test_the_wheel_owns_the_client_and_is_typed(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    own = {name for name in names if ".dist-info" not in name}
    assert {name.split("/")[0] for name in own} == {"isola", "isola_sdk"}
    assert {"isola/py.typed", "isola_sdk/py.typed"} <= own
    sources = {str(each.relative_to(FOLDER)) for each in FOLDER.rglob("*.py")}
    assert {name for name in own if name.endswith(".py")} == sources
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        members = {name.partition("/")[2] for name in archive.getnames()}
    assert sources | {"README.md", "pyproject.toml"} <= members


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel, and what it needs."""
    place = tmp_path_factory.mktemp("installed")
    python = place / "bin" / "python"
    uv("venv", "--python", sys.executable, "--allow-existing", place)
    wheel = next(built.glob("*.whl"))
    # From the index that this machine has, in the versions that the other tests are about.
    pins = [f"httpx=={httpx.__version__}", f"pydantic=={pydantic.VERSION}"]
    uv("pip", "install", "--python", python, wheel, *pins)
    return place


def test_it_imports_in_an_environment_of_its_own(installed: Path, tmp_path: Path) -> None:
    python = installed / "bin" / "python"
    done = subprocess.run(
        [python, "-W", "error", "-c", PROGRAM],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(isola_sdk.__version__)
    assert str(installed) in done.stdout


def test_every_type_of_it_is_known_to_every_type_checker(installed: Path, tmp_path: Path) -> None:
    pyright = Path(sys.executable).with_name("pyright")
    path = os.pathsep.join((str(installed / "bin"), os.environ["PATH"]))
    done = subprocess.run(
        [pyright, "--verifytypes", "isola", "--ignoreexternal"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "VIRTUAL_ENV": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(installed) in done.stdout
    assert "Type completeness score: 100%" in done.stdout, done.stdout


def test_threads_may_meet_at_a_models_first_use() -> None:
    command = [sys.executable, "-W", "error", "-c", MANY_AT_ONCE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("16 True\n", "")


def test_it_needs_an_http_client_and_pydantic_and_nothing_else() -> None:
    assert [each.split(">")[0] for each in PROJECT["dependencies"]] == ["httpx", "pydantic"]
    assert PROJECT["version"] == isola_sdk.__version__
