"""Every example in the client's README does what it says, on a real gateway."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys

import pytest

from gateway.fakes import World, stored
from support.toolchain import ROOT

SDK = ROOT / "api" / "sdk" / "python"
EXAMPLES = re.findall(r"(?ms)^```python\n(.*?)^```", (SDK / "README.md").read_text())

SAID = [
    "the model is told: SyntaxError",
    "kept solved of 10240 bytes\nthe answer was 42\n",
    "step 1\nstep 2\nstep 3\n",
    "this digest proves it later:",
]
PROGRAM = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "README", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
done = eval(code, {"IMAGE": "busybox"})
if inspect.iscoroutine(done):
    asyncio.run(done)
"""


def test_there_are_as_many_examples_as_are_known() -> None:
    assert len(EXAMPLES) == len(SAID)


async def says(url: str, number: int) -> str:
    """Return what an example prints; it must end well."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PROGRAM),
        env={**os.environ, "PYTHONPATH": str(SDK), "ISOLA_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(program.communicate(EXAMPLES[number].encode()), 240)
    assert program.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.apiserver
@pytest.mark.parametrize("number", [0, 2, 3])
async def test_an_example_does_what_it_says(whole: str, number: int) -> None:
    said = await says(whole, number)
    assert SAID[number] in said
    if not number:
        assert "the answer is 42" in said


async def test_the_example_of_a_snapshot_does_what_it_says(url: str, known: World) -> None:
    """On the cluster, `e2e/test_sdk.py` does so with a bucket; here the uploader is played."""

    async def upload() -> None:
        while not (asked := await known.snapshots.store.list()):  # noqa: ASYNC110 - a store
            await asyncio.sleep(0.05)
        await known.snapshots.records(asked[0].name, *stored())

    uploading = asyncio.create_task(upload())
    assert SAID[1] in await says(url, 1)
    await uploading
