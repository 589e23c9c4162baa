"""Which route a request takes: the table of all, and those that tell of the sidecar itself."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from . import command_routes, file_routes
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .exchange import Exchange
    from .sidecar import Sidecar

    Handler = Callable[[Sidecar, Exchange, str], Awaitable[None]]


async def route(sidecar: Sidecar, exchange: Exchange) -> None:
    """Answer a request by its route.

    Raises:
        ProblemError: 404 for an unknown path, 405 for a known one's other method; and what the
            route itself refuses.
    """
    pattern, identifier = _pattern(exchange.path)
    methods = _ROUTES.get(pattern)
    if methods is None:
        raise ProblemError(404, f"there is no route /{'/'.join(exchange.path)}")
    handler = methods.get(exchange.method)
    if handler is None:
        allowed = ", ".join(methods)
        raise ProblemError(405, f"this route takes {allowed}", headers=(("Allow", allowed),))
    await handler(sidecar, exchange, identifier)


def _pattern(path: tuple[str, ...]) -> tuple[str, str]:
    """Return a path with its command id taken out: `v1/commands/*/status` and the id."""
    if len(path) > 2 and path[:2] == ("v1", "commands"):  # noqa: PLR2004 - the id is the third
        return "/".join((*path[:2], "*", *path[3:])), path[2]
    return "/".join(path), ""


async def _health(_: Sidecar, exchange: Exchange, __: str) -> None:
    await exchange.answer_json(200, {"status": "ok"})


async def _version(_: Sidecar, exchange: Exchange, __: str) -> None:
    machine = os.uname().machine
    document = {
        "gitVersion": os.environ.get("ISOLA_VERSION", "v0.0.0-dev"),
        # Required by the contract, which was written for a Go program.
        "goVersion": f"none (Python {sys.version.split()[0]})",
        "platform": "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
    }
    await exchange.answer_json(200, document)


_ROUTES: Final[dict[str, dict[str, Handler]]] = {
    "health": {"GET": _health},
    "version": {"GET": _version},
    "v1/commands": {"POST": command_routes.start, "GET": command_routes.list_all},
    "v1/commands/*": {"DELETE": command_routes.kill},
    "v1/commands/*/status": {"GET": command_routes.status},
    "v1/commands/*/stdout": {"GET": command_routes.stdout},
    "v1/commands/*/stderr": {"GET": command_routes.stderr},
    "v1/commands/*/stdin": {"POST": command_routes.stdin},
    "v1/commands/*/stdin/close": {"POST": command_routes.close_stdin},
    "v1/commands/*/terminal": {"GET": command_routes.terminal},
    "v1/filesystem": {
        "GET": file_routes.download,
        "POST": file_routes.upload,
        "DELETE": file_routes.remove,
    },
    "v1/filesystem/entries": {"GET": file_routes.list_entries},
    "v1/filesystem/stat": {"GET": file_routes.describe},
    "v1/filesystem/watch": {"GET": file_routes.watch},
    "v1/filesystem/move": {"POST": file_routes.move},
    "v1/filesystem/directories": {"POST": file_routes.make_directory},
}
