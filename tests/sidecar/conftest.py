from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidecar.pods import Client, Container, Pod, require_tools

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A pod with nothing in it yet but what every test may share."""
    require_tools()
    with Pod(tmp_path_factory.mktemp("pod")) as pod:
        yield pod


@pytest.fixture(scope="session")
def container(pod: Pod) -> Container:
    """The shared pod's only container: it runs as an ordinary user in a directory of its own.

    It has files that are mounts, as a pod's /etc/hosts is, one of them for a test that takes it
    off, and a file system that is soon full.
    """
    prepare = """
        mkdir -p /work /empty /small
        chown 1234:4321 /work
        mount -t tmpfs -o size=64k tmpfs /small
        echo old > /source
        touch /mounted /pinned
        mount --bind /source /mounted
        mount --bind /source /pinned
    """
    return pod.add("main", user="1234:4321", prepare=prepare, directory="/work")


@pytest.fixture(scope="session")
def client(pod: Pod, container: Container) -> Client:
    """A client of the shared pod's sidecar."""
    assert container
    return pod.start_sidecar()
