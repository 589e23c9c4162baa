"""Helm, and the chart in two forms: as shipped, and with definitions to render."""

import os
import shutil
from pathlib import Path

import pytest

from chart.rendering import CHART, Chart
from support.toolchain import binaries

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def helm() -> Path:
    """Return the helm binary: the one in $HELM, else the one this project builds."""
    if chosen := os.environ.get("HELM"):
        return Path(chosen)
    return binaries("helm") / "helm"


@pytest.fixture(scope="session")
def chart(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Return the chart as it lies in the repository."""
    return Chart(helm=helm, home=tmp_path_factory.mktemp("helm-home"))


@pytest.fixture(scope="session")
def chart_with_definitions(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Return a copy of the chart with two definitions more, one of them awkward to render."""
    folder = tmp_path_factory.mktemp("copy") / "isola"
    shutil.copytree(CHART, folder)
    for definition in sorted((HERE / "definitions").glob("*.yaml")):
        shutil.copy(definition, folder / "files" / "crds" / definition.name)
    return Chart(helm=helm, home=tmp_path_factory.mktemp("helm-home"), folder=folder)
