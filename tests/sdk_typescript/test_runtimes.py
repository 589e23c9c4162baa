"""One table of calls, for real in Node, Bun, Deno and workerd, against one real gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
import pytest

from sdk_typescript.tools import ENVIRONMENT, HERE, run, tool

pytestmark = pytest.mark.apiserver

ROWS = set(re.findall(r'(?m)^  async "(.+)"\(', (HERE / "table.ts").read_text()))


def in_node(project: Path, url: str) -> str:
    # Node has a WebSocket without being asked from version 22 on.
    return run("node", "--experimental-websocket", "out/main.js", url, cwd=project, NODE_NO_WARNINGS="1")


def in_bun(project: Path, url: str) -> str:
    return run(tool("bun"), "out/main.js", url, cwd=project)


def in_deno(project: Path, url: str) -> str:
    allowed = ("--allow-net=127.0.0.1", "--allow-env=ISOLA_URL", "--no-prompt")
    return run(tool("deno"), "run", *allowed, "out/main.js", url, cwd=project)


def in_workerd(project: Path, url: str) -> str:
    run(tool("bun"), "build", "out/worker.js", "--outfile=bundled/worker.js", cwd=project)
    (project / "bundled" / "workerd.capnp").write_text((project / "workerd.capnp").read_text())
    with workerd(project / "bundled") as port:
        address = f"http://127.0.0.1:{port}"
        return httpx.get(address, params={"url": url}, timeout=240).raise_for_status().text


@contextmanager
def workerd(folder: Path) -> Generator[int]:
    """Serve, and tell the port."""
    command = [tool("workerd"), "serve", "workerd.capnp", "--control-fd=1"]
    with Popen(command, cwd=folder, env=ENVIRONMENT, stdout=PIPE, text=True) as server:
        try:
            assert server.stdout
            said = next(line for line in server.stdout if '"listen"' in line)
            yield json.loads(said)["port"]
        finally:
            server.kill()


@pytest.mark.parametrize("runtime", [in_node, in_bun, in_deno, in_workerd])
def test_every_row_of_the_table_is_right(
    whole: str, project: Path, runtime: Callable[[Path, str], str]
) -> None:
    results = json.loads(runtime(project, whole).splitlines()[-1])
    assert {row: why for row, why in results.items() if why} == {}
    assert set(results) == ROWS
