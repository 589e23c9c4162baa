"""The tools that hack/npm/sdk-typescript locks, and the package that hack/sdk_typescript.sh makes."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from support.toolchain import ROOT, npm

HERE = Path(__file__).parent
SDK = ROOT / "api" / "sdk" / "typescript"

_MACHINE = {"x86_64": ("x64", "64"), "aarch64": ("aarch64", "arm64"), "arm64": ("aarch64", "arm64")}

# Nothing is reported to anybody, and nothing is asked.
ENVIRONMENT = {**os.environ, "DO_NOT_TRACK": "1", "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}


def tool(name: str) -> Path:
    """Return a program. Those of the runtimes are taken from where their installers find them, as no installer runs."""
    modules = npm("sdk-typescript") / "node_modules"
    bun, other = _MACHINE[platform.machine()]
    system = platform.system().lower()
    found = {
        "bun": f"@oven/bun-{system}-{bun}/bin/bun",
        "deno": f"@deno/{system}-{other.replace('64', 'x64') if other == '64' else other}"
        f"{'-glibc' if system == 'linux' else ''}/deno",
        "workerd": f"@cloudflare/workerd-{system}-{other}/bin/workerd",
    }
    return modules / found.get(name, f".bin/{name}")


@cache
def packed() -> Path:
    """Return the archive that would be published."""
    script = ROOT / "hack" / "sdk_typescript.sh"
    done = subprocess.run([script], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])


def run(*command: str | Path, cwd: Path, seconds: float = 240, **environment: str) -> str:
    """Return what a command prints, which succeeds."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
