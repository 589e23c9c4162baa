"""One table of calls in Node, Bun, Deno and workerd, and the README's examples: all for real."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
import pytest

from gateway.fakes import World, stored
from sdk_typescript.tools import ENVIRONMENT, HERE, SDK, run, tool

pytestmark = pytest.mark.apiserver

EXAMPLES = re.findall(r"(?ms)^```ts\n(.*?)^```", (SDK / "README.md").read_text())
ROWS = set(re.findall(r'(?m)^  async "(.+)"\(', (HERE / "table.ts").read_text()))


def in_node(project: Path, url: str) -> str:
    # Node has a WebSocket without being asked from version 22 on.
    return run(
        "node", "--experimental-websocket", "out/main.js", url, cwd=project, NODE_NO_WARNINGS="1"
    )


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


SAID = [
    ["the model is told: SyntaxError", "the answer is 42"],
    ["kept solved of 10240 bytes\nthe answer was 42\n"],
    ["step 1\nstep 2\nstep 3\nexit code 0\nfound 1"],
    ["bytes: 1000000 1000000", "40 120", "this digest proves it later:"],
]


@pytest.fixture(scope="module")
def examples(project: Path) -> Path:
    """The folder with the examples, compiled to the strictest settings."""
    for number, text in enumerate(EXAMPLES):
        example = f'const IMAGE = "busybox";\n{text}'
        (project / f"example{number}.ts").write_text(example)
    run(tool("tsc"), "-p", ".", "--noUnusedParameters", "false", cwd=project)
    return project / "out"


def says(url: str, examples: Path, number: int) -> str:
    """Return what an example prints; it must end well."""
    node = ("node", "--experimental-websocket", f"example{number}.js")
    return run(*node, cwd=examples, ISOLA_URL=url, NODE_NO_WARNINGS="1")


def test_there_are_as_many_examples_as_are_known() -> None:
    assert len(EXAMPLES) == len(SAID)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_an_example_does_what_it_says(whole: str, examples: Path, number: int) -> None:
    printed = says(whole, examples, number)
    for said in SAID[number]:
        assert said in printed


async def test_the_example_of_a_snapshot_does_what_it_says(
    url: str, known: World, examples: Path
) -> None:
    """On the cluster, `e2e/test_sdk_typescript.py` has a bucket; here the uploader is played."""

    async def upload() -> None:
        while not (asked := await known.snapshots.store.list()):  # noqa: ASYNC110 - a store
            await asyncio.sleep(0.05)
        await known.snapshots.records(asked[0].name, *stored())

    uploading = asyncio.create_task(upload())
    assert SAID[1][0] in await asyncio.to_thread(says, url, examples, 1)
    await uploading
