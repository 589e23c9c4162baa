"""The routes of files and directories."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from . import directories, entries, files, moving, ranges, removal, requests
from .problems import ProblemError
from .streams import HEADERS, NO_CACHE

if TYPE_CHECKING:
    from .containers import Container
    from .exchange import Exchange
    from .sidecar import Sidecar


async def download(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Send a file, or a part of it."""
    container = _container(sidecar, exchange)
    content = files.open_for_reading(container, requests.path(exchange.query))
    try:
        span = ranges.asked(exchange.headers, content.size, content.tag)
        headers = (
            *(("Content-Type", "application/octet-stream"), NO_CACHE),
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


async def list_entries(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """List a page of a directory."""
    container = _container(sidecar, exchange)
    document = await entries.page(
        container,
        requests.path(exchange.query),
        after=requests.cursor(exchange.query),
        limit=requests.page_limit(exchange.query),
    )
    await exchange.answer_json(200, document)


async def describe(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Tell what is at a path."""
    container = _container(sidecar, exchange)
    await exchange.answer_json(200, entries.describe(container, requests.path(exchange.query)))


async def watch(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Tell what changes at or below a path, as server-sent events."""
    container = _container(sidecar, exchange)
    path = requests.path(exchange.query)
    recursive = requests.flag(exchange.query, "recursive")
    # For those who use it: its import would make every start longer.
    from . import watching  # noqa: PLC0415

    with sidecar.streams.one_more():
        async with (
            exchange.while_connected(),
            aclosing(await watching.Watch(container, path, recursive=recursive).begin()) as found,
        ):
            await exchange.begin(200, (("Content-Type", "text/event-stream"), *HEADERS))
            async for piece in found.pieces():
                await exchange.send(piece)
            await exchange.finish()


async def upload(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Make the body the content of a file."""
    container = _container(sidecar, exchange)
    with files.Replacement(container, requests.path(exchange.query)) as replacement:
        async for piece in exchange.body():
            replacement.write(piece)
        replacement.commit()
    document = {"absolutePath": replacement.path, "bytesWritten": replacement.size}
    await exchange.answer_json(201, document)


async def make_directory(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Make a directory and its parents: 201, or 204 if it is there."""
    container = _container(sidecar, exchange)
    made = directories.make(container, requests.path(exchange.query))
    if made is None:
        await exchange.answer(204)
    else:
        await exchange.answer_json(201, {"absolutePath": made})


async def remove(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Remove what is at a path."""
    container = _container(sidecar, exchange)
    recursive = requests.flag(exchange.query, "recursive")
    await removal.remove(container, requests.path(exchange.query), recursive=recursive)
    await exchange.answer(204)


async def move(sidecar: Sidecar, exchange: Exchange, _: str) -> None:
    """Move what is at a path."""
    container = _container(sidecar, exchange)
    source, target = (requests.path(exchange.query, name) for name in ("from", "to"))
    overwrite = requests.flag(exchange.query, "overwrite")
    moving.move(container, source, target, overwrite=overwrite)
    await exchange.answer(204)


def _container(sidecar: Sidecar, exchange: Exchange) -> Container:
    return sidecar.commands.container(requests.container(exchange.query))
