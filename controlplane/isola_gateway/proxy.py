"""Requests that a sandbox's own sidecar answers.

A sidecar is as trustworthy as the code beside it. So its answer gives a status, a detail, a body
of the declared kind - and never headers, redirects or a server error's text.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel, ValidationError
from quart import Response
from quart.wrappers.response import ResponseBody

from isola_gateway import downloads
from isola_gateway.admission import Admission
from isola_gateway.lookup import Lookup
from isola_gateway.operation import OCTETS
from isola_gateway.ports import Answer, Call, SidecarError, SidecarTransport, UpgradeRefusedError
from isola_gateway.sockets import Switch
from isola_rest.problem import ProblemError

# An error's body is read up to here.
PROBLEM_BYTES = 4096

# Beyond what the request itself asks the sidecar to wait.
ANSWER_SECONDS = 10
# The sidecar sends a comment at least every 15 s: after four missed ones it is gone.
EVENTS_SILENCE_SECONDS = 60
FILE_SILENCE_SECONDS = 20
# How long the sidecar may take no byte of an upload, and how long it may then take to keep it.
UPLOAD_STALL_SECONDS = 20
UPLOAD_END_SECONDS = 45

STREAM_HEADERS = {"Cache-Control": "no-cache, private", "X-Accel-Buffering": "no"}


class Relay(ResponseBody):
    """A body that is passed on as it comes.

    Args:
        parts: The body.
        resources: Closed at the end, however it comes.
    """

    def __init__(self, parts: AsyncIterator[bytes], resources: AsyncExitStack) -> None:
        self._parts = parts
        self._resources = resources

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        parts: Any = self._parts
        async with self._resources:
            if hasattr(parts, "aclose"):
                await parts.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts


class Proxy:
    """The way to sidecars.

    Args:
        lookup: Tells where a sandbox is.
        transport: Goes there.
        admission: Bounds how much does.
    """

    def __init__(self, lookup: Lookup, transport: SidecarTransport, admission: Admission) -> None:
        self._lookup = lookup
        self._admission = admission
        self._transport = transport

    async def ask(self, sandbox: str, call: Call, model: type[BaseModel]) -> bytes:
        """Return the JSON answer to `call`, which is a `model`, as the sidecar wrote it.

        Returns:
            Nothing where there is nothing to be told (204) and the call allows that.
        """
        async with self._opened(sandbox, call) as answer:
            if call.may_be_empty and answer.status == HTTPStatus.NO_CONTENT:
                return b""
            content = await answer.read(call.answer_bytes)
        try:
            model.model_validate_json(content)
        except ValidationError as error:
            raise SidecarError(f"{call.method} {call.path}: {error}") from error
        return content

    async def tell(self, sandbox: str, call: Call) -> None:
        """Carry out `call`, whose answer says no more than that it went well."""
        async with self._opened(sandbox, call):
            pass

    async def stream(self, sandbox: str, call: Call, media_type: str) -> Response:
        """Return the answer to `call` as a stream that may last for ever."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._admission.stream_of(sandbox))
            sidecar = await self._lookup.sidecar(sandbox)
            answer = await stack.enter_async_context(self._transport.open(sidecar, call))
            await _accepted(answer)
            body = Relay(answer.chunks(), stack.pop_all())
            return Response(body, content_type=media_type, headers=STREAM_HEADERS)

    async def attach(self, sandbox: str, call: Call) -> Switch:
        """Return the answer that makes the client's WebSocket one with the sidecar, by `call`."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._admission.stream_of(sandbox))
            sidecar = await self._lookup.sidecar(sandbox)
            try:
                socket = await stack.enter_async_context(self._transport.attach(sidecar, call))
            except UpgradeRefusedError:
                # A refusal's body is lost with the WebSocket: the same request without one has it.
                async with self._transport.open(sidecar, call) as answer:
                    if answer.status != HTTPStatus.UPGRADE_REQUIRED:
                        await _accepted(answer)
                raise
            return Switch(socket, stack.pop_all())

    async def download(self, sandbox: str, call: Call) -> Response:
        """Return the answer to `call` as a file, or as the part of it that was asked for."""
        async with AsyncExitStack() as stack:
            answer = await stack.enter_async_context(self._opened(sandbox, call))
            told = downloads.told(answer, in_part="Range" in call.headers)
            parts = answer.chunks()
            if told.length is not None:
                parts = downloads.measured(parts, told.length)
            body = Relay(parts, stack.pop_all())
            headers = {"Cache-Control": STREAM_HEADERS["Cache-Control"], **told.headers}
            return Response(body, told.status, headers=headers, content_type=OCTETS)

    async def upload(self, sandbox: str, call: Call, octets: AsyncIterable[bytes]) -> None:
        """Carry out `call` with `octets` as its body, as fast as both sides are."""
        source = _Source(octets)
        try:
            async with asyncio.timeout(UPLOAD_STALL_SECONDS) as deadline:
                body = source.parts(deadline)
                async with self._opened(sandbox, replace(call, body=body)):
                    pass
        except TimeoutError as error:
            raise SidecarError(f"{call.method} {call.path}: stalled") from error
        except SidecarError:
            if source.failure:
                raise source.failure from None
            raise

    @asynccontextmanager
    async def _opened(self, sandbox: str, call: Call) -> AsyncGenerator[Answer]:
        """Hold the answer to `call`, which is a good one."""
        with self._admission.request_to(sandbox):
            sidecar = await self._lookup.sidecar(sandbox)
            async with self._transport.open(sidecar, call) as answer:
                await _accepted(answer)
                yield answer


class _Source:
    """An upload's octets on their way; it remembers when the client was the one who failed."""

    def __init__(self, octets: AsyncIterable[bytes]) -> None:
        self._octets = octets
        self.failure: ProblemError | None = None

    async def parts(self, deadline: asyncio.Timeout) -> AsyncIterator[bytes]:
        """Yield the octets, moving the deadline on with each step."""
        clock = asyncio.get_running_loop().time
        try:
            async for part in self._octets:
                deadline.reschedule(clock() + UPLOAD_STALL_SECONDS)
                yield part
        except ProblemError as error:
            self.failure = error
            raise
        deadline.reschedule(clock() + UPLOAD_END_SECONDS)


async def _accepted(answer: Answer) -> None:
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    refused = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    # A full disk is the sandbox's own affair: not a failure on the way, which clients try again.
    if not refused and answer.status != HTTPStatus.INSUFFICIENT_STORAGE:
        raise SidecarError(f"it answered with status {answer.status}")
    detail = _detail(await answer.read(PROBLEM_BYTES))
    delay = answer.headers.get("Retry-After", "")
    headers = {"Retry-After": delay} if delay.isdecimal() else {}
    headers |= downloads.size_told(answer)
    raise ProblemError(answer.status, detail, headers=headers)


def _detail(content: bytes) -> str:
    try:
        told: Any = json.loads(content)
    except ValueError:
        return ""
    detail: Any = told.get("detail") if isinstance(told, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return detail if isinstance(detail, str) else ""
