"""Entry points: the command line, the clock and the environment are read here and nowhere else."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from isola_kubectl import VERSION, completion, live, proving, telling
from isola_kubectl.arguments import parse
from isola_kubectl.errors import INTERRUPTED, TERMINATED, PluginError
from isola_kubectl.kubectl import Kubectl
from isola_kubectl.session import Session
from isola_kubectl.showing import Screen

_FLAGS = ("namespace", "context", "kubeconfig")

_COMMANDS: Mapping[str, Callable[[Session], int]] = {
    "history": telling.history,
    "list": telling.overview,
    "why": telling.why,
    "watch": live.watch,
    "verify": proving.verify,
    "completion": completion.script,
}


def main() -> None:
    """Run the command that was typed, and exit with its code."""
    name = Path(sys.argv[0]).name
    program = "kubectl isola" if name == "kubectl-isola" else name
    # As an interruption: what it has started ends with it.
    signal.signal(signal.SIGTERM, _end)
    given = parse(program, VERSION, sys.argv[1:])
    try:
        code = _run(given, program)
    except PluginError as error:
        _warn(program)(str(error))
        code = error.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read it has seen enough. Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def complete() -> None:
    """Answer kubectl, or a shell, what may follow on the command line."""
    for line in completion.candidates(sys.argv[1:], Kubectl(program=_program(), quiet=True)):
        sys.stdout.write(f"{line}\n")


def _run(given: Namespace, program: str) -> int:
    flags = (f"--{key}={value}" for key in _FLAGS if (value := getattr(given, key)))
    session = Session(
        given=given,
        kubectl=Kubectl(tuple(flags), _program()),
        screen=Screen.of(sys.stdout),
        warn=_warn(program),
        stdin=sys.stdin,
        now=datetime.now(UTC),  # noqa: TID251
        pause=time.sleep,
    )
    return _COMMANDS[given.command](session)


def _warn(program: str) -> Callable[[str], None]:
    def warn(text: str) -> None:
        sys.stderr.write(f"{program}: {text}\n")

    return warn


def _program() -> str:
    return os.environ.get("KUBECTL") or "kubectl"


if __name__ == "__main__":
    main()
