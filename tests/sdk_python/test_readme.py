"""Every example in the client's README does what it says, on a real gateway."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from support.toolchain import ROOT

SDK = ROOT / "api" / "sdk" / "python"
EXAMPLES = re.findall(r"(?ms)^```python\n(.*?)^```", (SDK / "README.md").read_text())

pytestmark = pytest.mark.apiserver

SAID = [
    "the model is told: SyntaxError",
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


@pytest.mark.parametrize("number", range(len(SAID)))
def test_an_example_does_what_it_says(whole: str, number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SDK), "ISOLA_URL": whole}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        input=EXAMPLES[number],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert SAID[number] in done.stdout
    if not number:
        assert "the answer is 42" in done.stdout
