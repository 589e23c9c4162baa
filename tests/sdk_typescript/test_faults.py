"""Random lives of commands, through a proxy on which nobody can rely.

`ISOLA_SDK_LIVES=1000` lives as many as the issue asks for, in each runtime; each run of the tests
lives some dozens.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import httpx
import pytest

from gateway.real import RealSandbox
from sdk_python.faults import KINDS, unreliable
from sdk_typescript.tools import ENVIRONMENT, tool

LIVES = int(os.environ.get("ISOLA_SDK_LIVES", "20"))
SEED = int(os.environ.get("ISOLA_SDK_SEED", "1"))

RUNTIMES = {
    "node": lambda: ("node",),
    "bun": lambda: (tool("bun"),),
    "deno": lambda: (tool("deno"), "run", "--allow-net=127.0.0.1"),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.timeout(300 + 5 * LIVES)
async def test_every_byte_comes_once_and_no_command_runs_twice(
    url: str, sandboxed: RealSandbox, project: Path, runtime: str
) -> None:
    body = {"podTemplate": {"containers": [{"image": "busybox"}]}}
    async with unreliable(url, seed=SEED) as proxy, httpx.AsyncClient(base_url=url) as client:
        made = await client.post("/v1/sandboxes", json=body, headers={"Prefer": "wait=20"})
        program = (
            *RUNTIMES[runtime](),
            "lives.js",
            proxy.url,
            made.json()["id"],
            str(LIVES),
            str(SEED),
        )
        lives = await asyncio.create_subprocess_exec(
            *program,
            cwd=project / "out",
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            printed, errors = await lives.communicate()
        finally:
            if lives.returncode is None:
                lives.kill()
        assert lives.returncode == 0, errors.decode()
        assert json.loads(printed) == []
    for number in range(LIVES):
        runs = sandboxed.file(f"/tmp/runs-{number}")
        assert runs.read_text() == "ran\n"
        runs.unlink()
    assert LIVES < 20 or all(proxy.happened[kind] for kind in KINDS)
