"""The plugin as a person runs it."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import pytest

from isola_kubectl.__main__ import complete, main
from isola_store.client import KubernetesClient
from support.etcd import Etcd
from support.kubernetes_server import ApiServer
from support.lives import Lives
from support.store import SNAPSHOTS


@dataclass(frozen=True)
class Run:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def events(self) -> list[str]:
        """Return what happened, as `history` tells it."""
        head, *rows = self.lines[1:]
        column = head.index("EVENT")
        return [row[column:].split()[0] for row in rows]


Cli = Callable[..., Run]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run the plugin, in this process."""

    def run(*words: str, stdin: str = "", entry: Callable[[], None] = main) -> Run:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["/usr/bin/kubectl-isola", *words])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            try:
                entry()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        said = capfd.readouterr()
        return Run(code, said.out, said.err)

    return run


@pytest.fixture
def completed(cli: Cli) -> Callable[..., Run]:
    """Ask what may follow."""
    return lambda *words: cli(*words, entry=complete)


@pytest.fixture
async def lives(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Lives]:
    """Lives on a real API server, which is the one that kubectl asks."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig))
    monkeypatch.setenv("KUBECTL", str(api_server.kubectl))
    async with await KubernetesClient.connect(str(api_server.kubeconfig)) as client:
        yield Lives(client)


@pytest.fixture
def snapshots(lives: Lives) -> Lives:
    """The same, of snapshots."""
    return Lives(lives.client, kind=SNAPSHOTS)


@pytest.fixture
def etcd(api_server: ApiServer) -> Etcd:
    """What lies below that API server."""
    return Etcd(api_server.etcd)
