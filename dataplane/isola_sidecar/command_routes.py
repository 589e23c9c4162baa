"""The routes of commands, their streams and terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import requests
from .command import describe
from .problems import ProblemError
from .streams import HEADERS, KEEPALIVE, EventEncoder

if TYPE_CHECKING:
    from .command import Command
    from .exchange import Exchange
    from .output import Output
    from .sidecar import Sidecar

_OCTETS: Final = "application/octet-stream"


async def start(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Start a command: 202 and its id."""
    container = requests.container(exchange.query)
    order = requests.order(await exchange.json(), container)
    command = await sidecar.commands.start(order)
    await exchange.answer_json(202, {"id": command.id})


async def list_all(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """List the commands, the oldest first."""
    items = [
        {"id": each.id, "container": each.container, "args": each.argv, **describe(each)}
        for each in sidecar.commands
    ]
    await exchange.answer_json(200, {"commands": items})


async def status(sidecar: Sidecar, exchange: Exchange, identifier: str) -> None:
    """Tell how a command stands, at once or when it ends."""
    command = _command(sidecar, identifier)
    seconds = requests.wait_seconds(exchange.query)
    if seconds and command.ending is None:
        async with exchange.while_connected():
            await command.wait(seconds)
    await exchange.answer_json(200, describe(command))


async def kill(sidecar: Sidecar, exchange: Exchange, identifier: str) -> None:
    """Kill a command with all its descendants, or signal it."""
    command = _command(sidecar, identifier)
    await sidecar.commands.signal(command, requests.kill_signal(exchange.query))
    await exchange.answer(204)


async def stdin(sidecar: Sidecar, exchange: Exchange, identifier: str) -> None:
    """Deliver a body to a command's stdin."""
    await _command(sidecar, identifier).stdin.write(exchange.body())
    await exchange.answer(204)


async def close_stdin(sidecar: Sidecar, exchange: Exchange, identifier: str) -> None:
    """Close a command's stdin."""
    await _command(sidecar, identifier).close_stdin()
    await exchange.answer(204)


async def stdout(sidecar: Sidecar, exchange: Exchange, identifier: str) -> None:
    """Stream a command's stdout."""
    await _stream(sidecar, exchange, _command(sidecar, identifier).stdout)


async def stderr(sidecar: Sidecar, exchange: Exchange, identifier: str) -> None:
    """Stream a command's stderr."""
    await _stream(sidecar, exchange, _command(sidecar, identifier).stderr)


async def terminal(sidecar: Sidecar, exchange: Exchange, identifier: str) -> None:
    """Show and operate a command's terminal over a WebSocket."""
    command = _command(sidecar, identifier)
    if command.terminal is None:
        raise ProblemError(409, "this command was started without a terminal")
    offset = requests.offset(exchange.query)
    command.stdout.refuse_if_gone(offset)
    # wsproto is for those who use it: its import would make every start longer.
    from . import viewing  # noqa: PLC0415

    with sidecar.streams.one_more():
        await viewing.attend(exchange, sidecar.commands, command, offset)


async def _stream(sidecar: Sidecar, exchange: Exchange, output: Output) -> None:
    offset = requests.last_event_id(exchange.headers)
    output.refuse_if_gone(offset)
    raw = _OCTETS in exchange.headers.get("accept", "")
    content_type = ("Content-Type", _OCTETS if raw else "text/event-stream")
    head = (content_type, *HEADERS)
    with sidecar.streams.one_more():
        async with exchange.while_connected():
            await exchange.begin(200, head)
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


def _command(sidecar: Sidecar, identifier: str) -> Command:
    return sidecar.commands.get(requests.command_id(identifier))
