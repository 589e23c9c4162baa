"""The client as it is published, in a project of its own, and the Python client's gateways."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sdk_python.conftest import known, sandboxed, url, whole
from sdk_typescript.tools import HERE, packed, run, tool

__all__ = ["known", "project", "sandboxed", "url", "whole"]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has installed the client, and the compiled programs of this folder."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{ "type": "module", "private": true }')
    run("npm", "install", "--offline", "--ignore-scripts", packed(), cwd=folder)
    for source in HERE.glob("*.ts"):
        shutil.copy(source, folder)
    for other in ("workerd.capnp", "protocol.mjs"):
        shutil.copy(HERE / other, folder)
    settings = (HERE / "tsconfig.json").read_text()
    (folder / "tsconfig.json").write_text(settings.replace("../../api/sdk/typescript", "./sdk"))
    (folder / "sdk").mkdir()
    shutil.copy(HERE.parents[1] / "api/sdk/typescript/tsconfig.json", folder / "sdk")
    run(tool("tsc"), "-p", ".", cwd=folder)
    return folder
