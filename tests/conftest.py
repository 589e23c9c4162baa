"""Tiers and their fixtures: quick tests first, then a real API server, then the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from support.etcd import Etcd
from support.kubernetes_server import OLDEST, ApiServer, serving

settings.register_profile("dev", max_examples=100, deadline=None)  # two busy cores
settings.register_profile(
    "ci",
    max_examples=200,  # `night` looks harder
    derandomize=True,
    deadline=None,  # two busy cores
    phases=set(Phase)
    - {Phase.explain},  # it traces every line, and names none that the story does not
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("night", max_examples=20_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

_TIERS = ("bucket", "apiserver", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs nothing first: a typing error should not cost a cluster."""

    def tier(item: pytest.Item) -> int:
        return max((i for i, m in enumerate(_TIERS, 1) if item.get_closest_marker(m)), default=0)

    items.sort(key=tier)


@pytest.fixture(scope="session")
def shared_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API server of the whole session, because it takes seconds to start."""
    with serving(tmp_path_factory.mktemp("kubernetes")) as server:
        yield server


@pytest.fixture(scope="module")
def api_server(shared_api_server: ApiServer) -> Iterator[ApiServer]:
    """A real kube-apiserver with our resources installed; no nodes, and nothing of other modules.

    An operator takes on whatever is there before it comes to what a test makes.
    """
    yield shared_api_server
    Etcd(shared_api_server.etcd).clear()


@pytest.fixture(scope="session")
def oldest_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The first Kubernetes that the chart supports."""
    with serving(tmp_path_factory.mktemp("oldest-kubernetes"), OLDEST) as server:
        yield server


@pytest.fixture(scope="module", params=["shared_api_server", "oldest_api_server"])
def each_api_server(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """As `api_server`, first of the newest Kubernetes and then of the oldest."""
    server = request.getfixturevalue(request.param)
    yield server
    Etcd(server.etcd).clear()
