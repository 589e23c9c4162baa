"""What `hack/npm/sdk-typescript` locks, and the package that `hack/sdk_typescript.sh` makes."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from support.toolchain import ROOT, npm

HERE = Path(__file__).parent
SDK = ROOT / "api" / "sdk" / "typescript"

_SYSTEM = platform.system().lower()
_ARM = platform.machine() in ("aarch64", "arm64")

# Where the installers of these packages would find their programs; no installer runs.
_PROGRAMS = {
    "bun": f"@oven/bun-{_SYSTEM}-{'aarch64' if _ARM else 'x64'}/bin/bun",
    "deno": f"@deno/{_SYSTEM}-{'arm64' if _ARM else 'x64'}"
    f"{'-glibc' if _SYSTEM == 'linux' else ''}/deno",
    "workerd": f"@cloudflare/workerd-{_SYSTEM}-{'arm64' if _ARM else '64'}/bin/workerd",
}

# Nothing is reported to anybody, and nothing is asked.
ENVIRONMENT = {**os.environ, "DO_NOT_TRACK": "1", "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}


def tool(name: str) -> Path:
    """Return a program."""
    return npm("sdk-typescript") / "node_modules" / _PROGRAMS.get(name, f".bin/{name}")


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
