"""What each route does, one screen each; and the table of all of them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from . import directories, entries, files, moving, ranges, removal, requests
from .commands import describe
from .problems import ProblemError
from .streams import KEEPALIVE, EventEncoder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .commands import Command, Commands
    from .exchange import Exchange
    from .output import Output

    Handler = Callable[[Commands, Exchange, str], Awaitable[None]]

_OCTETS: Final = "application/octet-stream"
_NO_CACHE: Final = ("Cache-Control", "no-cache, private")


async def route(commands: Commands, exchange: Exchange) -> None:
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
    await handler(commands, exchange, identifier)


def _pattern(path: tuple[str, ...]) -> tuple[str, str]:
    """Return a path with its command id taken out: `v1/commands/*/status` and the id."""
    if len(path) > 2 and path[:2] == ("v1", "commands"):  # noqa: PLR2004 - the id is the third
        return "/".join((*path[:2], "*", *path[3:])), path[2]
    return "/".join(path), ""


async def _health(_: Commands, exchange: Exchange, __: str) -> None:
    await exchange.answer_json(200, {"status": "ok"})


async def _version(_: Commands, exchange: Exchange, __: str) -> None:
    machine = os.uname().machine
    document = {
        "gitVersion": os.environ.get("ISOLA_VERSION", "v0.0.0-dev"),
        # Required by the contract, which was written for a Go program.
        "goVersion": f"none (Python {sys.version.split()[0]})",
        "platform": "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
    }
    await exchange.answer_json(200, document)


async def _start(commands: Commands, exchange: Exchange, _: str) -> None:
    container = requests.container(exchange.query)
    order = requests.order(await exchange.json(), container)
    command = await commands.start(order)
    await exchange.answer_json(202, {"id": command.id})


async def _list(commands: Commands, exchange: Exchange, _: str) -> None:
    items = [
        {"id": each.id, "container": each.container, "args": each.argv, **describe(each)}
        for each in commands
    ]
    await exchange.answer_json(200, {"commands": items})


async def _status(commands: Commands, exchange: Exchange, identifier: str) -> None:
    command = _command(commands, identifier)
    seconds = requests.wait_seconds(exchange.query)
    if seconds and command.ending is None:
        async with exchange.while_connected():
            await command.wait(seconds)
    await exchange.answer_json(200, describe(command))


async def _kill(commands: Commands, exchange: Exchange, identifier: str) -> None:
    command = _command(commands, identifier)
    await commands.signal(command, requests.kill_signal(exchange.query))
    await exchange.answer(204)


async def _stdin(commands: Commands, exchange: Exchange, identifier: str) -> None:
    await _command(commands, identifier).stdin.write(exchange.body())
    await exchange.answer(204)


async def _close_stdin(commands: Commands, exchange: Exchange, identifier: str) -> None:
    _command(commands, identifier).stdin.close()
    await exchange.answer(204)


async def _stdout(commands: Commands, exchange: Exchange, identifier: str) -> None:
    await _stream(exchange, _command(commands, identifier).stdout)


async def _stderr(commands: Commands, exchange: Exchange, identifier: str) -> None:
    await _stream(exchange, _command(commands, identifier).stderr)


async def _stream(exchange: Exchange, output: Output) -> None:
    offset = requests.last_event_id(exchange.headers)
    output.refuse_if_gone(offset)
    raw = _OCTETS in exchange.headers.get("accept", "")
    content_type = ("Content-Type", _OCTETS if raw else "text/event-stream")
    async with exchange.while_connected():
        await exchange.begin(200, (content_type, _NO_CACHE, ("X-Accel-Buffering", "no")))
        await (_send_raw if raw else _send_events)(exchange, output, offset)
        await exchange.finish()


async def _send_raw(exchange: Exchange, output: Output, offset: int) -> None:
    async for piece in output.pieces(offset):
        await exchange.send(piece)


async def _send_events(exchange: Exchange, output: Output, offset: int) -> None:
    encoder = EventEncoder(offset)
    async for piece in output.pieces(offset):
        await exchange.send(encoder.feed(piece) if piece else KEEPALIVE)
    await exchange.send(encoder.finish())


async def _download(commands: Commands, exchange: Exchange, _: str) -> None:
    container = commands.container(requests.container(exchange.query))
    content = files.open_for_reading(container, requests.path(exchange.query))
    try:
        span = ranges.asked(exchange.headers, content.size, content.tag)
        headers = (
            *(("Content-Type", _OCTETS), _NO_CACHE),
            *(("Accept-Ranges", "bytes"), ("ETag", content.tag)),
        )
        if span:
            await exchange.begin(206, headers + span.headers())
            await _send_part(exchange, content, span)
        else:
            await exchange.begin(200, headers)
            while piece := content.read():
                await exchange.send(piece)
        await exchange.finish()
    finally:
        content.close()


async def _send_part(exchange: Exchange, content: files.Content, span: ranges.Span) -> None:
    content.seek(span.first)
    left = span.length
    while left:
        piece = content.read(left)
        if not piece:
            # The answer has begun: what remains is to cut it, so that it is not taken for whole.
            raise ProblemError(409, "the file was cut short while it was read")
        await exchange.send(piece)
        left -= len(piece)


async def _entries(commands: Commands, exchange: Exchange, _: str) -> None:
    container = commands.container(requests.container(exchange.query))
    document = await entries.page(
        container,
        requests.path(exchange.query),
        after=requests.cursor(exchange.query),
        limit=requests.page_limit(exchange.query),
    )
    await exchange.answer_json(200, document)


async def _stat(commands: Commands, exchange: Exchange, _: str) -> None:
    container = commands.container(requests.container(exchange.query))
    await exchange.answer_json(200, entries.describe(container, requests.path(exchange.query)))


async def _upload(commands: Commands, exchange: Exchange, _: str) -> None:
    container = commands.container(requests.container(exchange.query))
    with files.Replacement(container, requests.path(exchange.query)) as replacement:
        async for piece in exchange.body():
            replacement.write(piece)
        replacement.commit()
    document = {"absolutePath": replacement.path, "bytesWritten": replacement.size}
    await exchange.answer_json(201, document)


async def _make_directory(commands: Commands, exchange: Exchange, _: str) -> None:
    container = commands.container(requests.container(exchange.query))
    made = directories.make(container, requests.path(exchange.query))
    if made is None:
        await exchange.answer(204)
    else:
        await exchange.answer_json(201, {"absolutePath": made})


async def _remove(commands: Commands, exchange: Exchange, _: str) -> None:
    container = commands.container(requests.container(exchange.query))
    recursive = requests.flag(exchange.query, "recursive")
    await removal.remove(container, requests.path(exchange.query), recursive=recursive)
    await exchange.answer(204)


async def _move(commands: Commands, exchange: Exchange, _: str) -> None:
    container = commands.container(requests.container(exchange.query))
    source, target = (requests.path(exchange.query, name) for name in ("from", "to"))
    overwrite = requests.flag(exchange.query, "overwrite")
    moving.move(container, source, target, overwrite=overwrite)
    await exchange.answer(204)


def _command(commands: Commands, identifier: str) -> Command:
    return commands.get(requests.command_id(identifier))


_ROUTES: Final[dict[str, dict[str, Handler]]] = {
    "health": {"GET": _health},
    "version": {"GET": _version},
    "v1/commands": {"POST": _start, "GET": _list},
    "v1/commands/*": {"DELETE": _kill},
    "v1/commands/*/status": {"GET": _status},
    "v1/commands/*/stdout": {"GET": _stdout},
    "v1/commands/*/stderr": {"GET": _stderr},
    "v1/commands/*/stdin": {"POST": _stdin},
    "v1/commands/*/stdin/close": {"POST": _close_stdin},
    "v1/filesystem": {"GET": _download, "POST": _upload, "DELETE": _remove},
    "v1/filesystem/entries": {"GET": _entries},
    "v1/filesystem/stat": {"GET": _stat},
    "v1/filesystem/move": {"POST": _move},
    "v1/filesystem/directories": {"POST": _make_directory},
}
