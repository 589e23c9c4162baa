"""Which route a request takes: the table of all, and those that tell of the sidecar itself."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from . import command_routes, file_routes, network_routes
from .problems import ProblemError, Violation, refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .exchange import Exchange
    from .sidecar import Sidecar

    Handler = Callable[[Sidecar, Exchange, str], Awaitable[None]]


class Route(NamedTuple):
    """What answers, and the parameters that its query may have."""

    handler: Handler
    query: tuple[str, ...] = ()


async def route(sidecar: Sidecar, exchange: Exchange) -> None:
    """Answer a request by its route.

    Raises:
        ProblemError: 404 for an unknown path, 405 for a known one's other method, 422 for an
            unknown parameter, which may be a known one misspelt; and what the route itself refuses.
    """
    pattern, identifier = _pattern(exchange.path)
    methods = ROUTES.get(pattern)
    if methods is None:
        raise ProblemError(404, f"there is no route /{'/'.join(exchange.path)}")
    found = methods.get(exchange.method)
    if found is None:
        allowed = ", ".join(methods)
        raise ProblemError(405, f"this route takes {allowed}", headers=(("Allow", allowed),))
    if unknown := [name for name in exchange.query if name not in found.query]:
        known = ", ".join(found.query) or "none"
        raise refused(tuple(Violation(f"query.{n}", f"unknown; known: {known}") for n in unknown))
    await found.handler(sidecar, exchange, identifier)


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


_FILE: Final = ("container", "path")

ROUTES: Final[dict[str, dict[str, Route]]] = {
    "health": {"GET": Route(_health)},
    "version": {"GET": Route(_version)},
    "v1/commands": {
        "POST": Route(command_routes.start, ("container",)),
        "GET": Route(command_routes.list_all),
    },
    "v1/commands/*": {"DELETE": Route(command_routes.kill, ("signal",))},
    "v1/commands/*/status": {"GET": Route(command_routes.status, ("waitSeconds",))},
    "v1/commands/*/stdout": {"GET": Route(command_routes.stdout)},
    "v1/commands/*/stderr": {"GET": Route(command_routes.stderr)},
    "v1/commands/*/stdin": {"POST": Route(command_routes.stdin)},
    "v1/commands/*/stdin/close": {"POST": Route(command_routes.close_stdin)},
    "v1/commands/*/terminal": {"GET": Route(command_routes.terminal, ("offset",))},
    "v1/filesystem": {
        "GET": Route(file_routes.download, _FILE),
        "POST": Route(file_routes.upload, _FILE),
        "DELETE": Route(file_routes.remove, (*_FILE, "recursive")),
    },
    "v1/filesystem/entries": {
        "GET": Route(file_routes.list_entries, (*_FILE, "limit", "cursor")),
    },
    "v1/filesystem/stat": {"GET": Route(file_routes.describe, _FILE)},
    "v1/filesystem/watch": {"GET": Route(file_routes.watch, (*_FILE, "recursive"))},
    "v1/filesystem/move": {
        "POST": Route(file_routes.move, ("container", "from", "to", "overwrite")),
    },
    "v1/filesystem/directories": {"POST": Route(file_routes.make_directory, _FILE)},
    "v1/network/reachable": {
        "GET": Route(network_routes.reachable, ("address", "port", "waitSeconds")),
    },
}
