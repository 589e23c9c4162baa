"""One request between server and application: backpressure, deadlines, request ids, counts.

Quart is made for requests and answers that fit into memory and are over within a minute. Both are
wrong for a gateway, and each rule here mends one thing:

    - Quart takes a request's body from the server as fast as it comes and keeps it all
      (pallets/quart#152). Here it takes the next part when the last ones were used.
    - Quart ends an answer after `RESPONSE_TIMEOUT`. Here an answer may last for ever, but the
      client must take each part of it within `SEND_SECONDS`.
    - An answer that breaks off must not look complete: the connection is closed before the end.
    - An error sent while the client still sends its body would be lost in the reset that closing
      such a connection causes. So the rest of the body is read, within limits, and thrown away.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import Any, cast

import structlog
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
)
from quart import Quart, Request, Response
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers.request import Body

from isola_gateway.admission import Admission
from isola_gateway.ports import SidecarError
from isola_gateway.problems import problem_response
from isola_lifecycle.errors import TransientError
from isola_rest.problem import ProblemError

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

TRACEPARENT_HEADER = "traceparent"
# Version 00 of W3C Trace Context, neither of whose ids may be all zeros. What is malformed is as
# good as absent (section 3.3), and nobody is told so.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

# How much of a body waits to be used; the server adds what fits its queue and its sockets.
BODY_BUFFER_BYTES = 256 * 1024
# How long the client may take to receive one part of an answer.
SEND_SECONDS = 10
# How much of a body that nobody wants is read all the same, and for how long.
DISCARD_BYTES = 16 * 1024 * 1024
DISCARD_SECONDS = 5

# What a client that left before the answer counts as: nginx's number, no code of HTTP.
CLIENT_LEFT = 499

# Asked for by machines, all the time.
_QUIET = frozenset({"/health", "/healthz", "/ready", "/readyz", "/metrics"})


class BoundedBody(Body):
    """A request's body, of which only a part is held at a time."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._room = asyncio.Event()
        self._room.set()
        self._unwanted = False
        self._discarded = 0

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._room.set()
        return data

    def append(self, data: bytes) -> None:
        """Take the next part."""
        if self._unwanted:
            self._discarded += len(data)
            if self._discarded > DISCARD_BYTES:
                self.set_complete()
            return
        super().append(data)
        if len(self._data) >= BODY_BUFFER_BYTES:
            self._room.clear()

    async def room(self) -> None:
        """Return when the next part may come."""
        await self._room.wait()

    def discard(self) -> None:
        """Throw away what is here, and whatever comes."""
        self._unwanted = True
        self.clear()
        self._room.set()

    async def discarded(self) -> None:
        """Return when the rest has come and is thrown away, or there is too much of it."""
        if not self._complete.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._complete.wait(), DISCARD_SECONDS)


class GatewayRequest(Request):
    """A request with an id."""

    body_class = BoundedBody
    body: BoundedBody

    @cached_property
    def request_id(self) -> str:
        """Return the client's id for this request where it is well-formed, else a new one."""
        given = self.headers.get(REQUEST_ID_HEADER, "")
        return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)

    @cached_property
    def traceparent(self) -> str:
        """Return the trace context that the client sent, or empty."""
        given = self.headers.get(TRACEPARENT_HEADER, "").strip()
        return given if _TRACEPARENT.fullmatch(given) else ""

    @property
    def opens_socket(self) -> bool:
        """Return whether this asks, as it has to, for a WebSocket."""
        scope: Any = self.scope
        return "websocket.http.response" in scope.get("extensions", ())

    @property
    def caller(self) -> str:
        """Return the address of whoever sent this, as far as the server knows it."""
        client = cast("Mapping[str, Any]", self.scope).get("client")
        # A socket for both families shows IPv4 addresses as mapped ones.
        return str(client[0]).removeprefix("::ffff:") if client else ""

    @property
    def route(self) -> str:
        """Return the pattern of the route, for counting."""
        rule = self.url_rule.rule if self.url_rule else "unknown"
        return rule.replace("<", "{").replace(">", "}")


class Connection(ASGIHTTPConnection):
    """A request and its answer.

    Args:
        admission: Whether it is taken on.
        app: What answers it.
        scope: ASGI's description of it.
    """

    def __init__(self, admission: Admission, app: Quart, scope: HTTPScope) -> None:
        super().__init__(app, scope)
        self._admission = admission
        self._metrics = admission.metrics
        self._code = CLIENT_LEFT

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        """Pass the body on as it is used; return when the client has left."""
        assert isinstance(request, GatewayRequest)  # noqa: S101 - the app's request class
        more = True
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if message["type"] == "http.request" and more:
                request.body.append(message.get("body", b""))
                more = message.get("more_body", False)
                if not more:
                    request.body.set_complete()
                await request.body.room()

    async def handle_request(self, request: Request, send: ASGISendCallable) -> None:
        """Answer the request, and count it."""
        assert isinstance(request, GatewayRequest)  # noqa: S101 - the app's request class
        start = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)
        self._metrics.in_flight.inc()
        try:
            with ExitStack() as taken_on:
                try:
                    if request.path not in _QUIET:
                        taken_on.enter_context(self._admission.request())
                    response = await self.app.handle_request(request)
                except ProblemError as refusal:
                    response = problem_response(refusal)
                assert isinstance(response, Response)  # noqa: S101 - no view returns another kind
                response.headers[REQUEST_ID_HEADER] = request.request_id
                await self._answer(request, response, send)
        finally:
            self._metrics.in_flight.dec()
            self._record(request, time.perf_counter() - start)

    async def _answer(
        self, request: GatewayRequest, response: Response, send: ASGISendCallable
    ) -> None:
        body: Any = response.response
        # What nobody has read by now nobody will: left lying, it would hide the client's leaving.
        request.body.discard()
        try:
            async with body as parts:
                await _sent(send, _head(response))
                self._code = response.status_code
                async for part in parts:
                    await _sent(send, _body(part, more=True))
            await request.body.discarded()
            await _sent(send, _body(b"", more=False))
        except (SidecarError, TransientError, TimeoutError) as error:
            # Returning without the last part makes the server close the connection.
            structlog.get_logger().warning("answer_broken_off", error=repr(error))

    def _record(self, request: GatewayRequest, seconds: float) -> None:
        self._metrics.answered(request.method, request.route, self._code, seconds)
        logger = structlog.get_logger()
        log = logger.debug if request.path in _QUIET else logger.info
        log(
            "request",
            method=request.method,
            path=request.path,
            code=self._code,
            caller=request.caller,
            seconds=round(seconds, 4),
        )


async def _sent(
    send: ASGISendCallable, event: HTTPResponseStartEvent | HTTPResponseBodyEvent
) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send(event)


def _head(response: Response) -> HTTPResponseStartEvent:
    return {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": encode_headers(response.headers),
    }


def _body(data: bytes, *, more: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": data, "more_body": more}
