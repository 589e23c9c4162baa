"""HTTP to sidecars, by aiohttp.

- Connections are kept and reused, as many as there are requests: streams last for ever, and no
  request may wait for another one's end.
- What a policy engine or a starting sidecar refuses is tried again for a moment, as long as
  nothing was sent. A request that was sent is never repeated: it may have been carried out.
- A sidecar whose certificate the log tells is asked over TLS, and proves itself by that before
  anything of a request is sent.
- Redirects, cookies, proxies and compression are not followed, kept, used or undone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
from aiohttp.connector import NEEDS_CLEANUP_CLOSED
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_delay,
    wait_random,
)
from yarl import URL

from isola_gateway.ports import (
    Answer,
    Call,
    Closing,
    Sidecar,
    SidecarError,
    Socket,
    UpgradeRefusedError,
)
from isola_lifecycle.naming import SIDECAR_PORT

# A new pod's traffic may be refused until the policy engine knows it: 25-240 ms were measured.
PATIENCE = timedelta(seconds=2)
# A refusal costs a packet each way, and a new sandbox's first command waits for its end.
RETRY_SECONDS = (0.005, 0.025)
# Where packets are dropped instead, the kernel asks once more after 1 s, and gives up 2 s later.
CONNECTS_AGAIN = 1
# Until TLS has begun too. A sidecar's first answer waits for its imports, on a node with much to do
# for seconds.
CONNECT_SECONDS = 10.0
# Less than the sidecar's 120 s, so that it is not the sidecar who closes first; and short, because
# addresses of pods are given to others.
KEEP_ALIVE_SECONDS = 15
# How often a silent connection is probed; after four probes without an answer it is lost.
PROBE_SECONDS = 15

# Until a WebSocket is open; and until it is closed, which need not be waited for.
UPGRADE_SECONDS = 10
CLOSE_SECONDS = 0.1
# Of one frame from a sidecar; it sends 64 KiB at most.
FRAME_BYTES = 256 * 1024
# A program that reads nothing is told by the sidecar itself, after 20 s.
TYPING_STALL_SECONDS = 30
_GOING_AWAY = 1001

_Upgraded = aiohttp.ClientWebSocketResponse[bool]
_Pin = aiohttp.Fingerprint | Literal[True]

_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
# Another certificate, or no TLS. Nothing of the request was sent.
_SOMEBODY_ELSE = (aiohttp.ServerFingerprintMismatch, aiohttp.ClientSSLError)
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class HttpSidecars:
    """A `SidecarTransport`.

    Args:
        session: From `sessions`.
        port: Where sidecars listen.
        patience: How long a connection is attempted.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        port: int = SIDECAR_PORT,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._session = session
        self._port = port
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(_is_worth_a_retry),
            stop=stop_after_delay(patience),
            wait=wait_random(*RETRY_SECONDS),
            reraise=True,
        )

    @asynccontextmanager
    async def open(self, sidecar: Sidecar, call: Call) -> AsyncGenerator[Answer]:
        """Send `call` and hold its answer; see `SidecarTransport.open`."""
        url, pin = self._url(sidecar, call), _pin(sidecar.certificate)
        try:
            response: aiohttp.ClientResponse = await self._retrying.copy()(
                self._sent, url, pin, call
            )
        except _BROKEN as error:
            raise SidecarError(f"{call.method} {url}: {_told(error)}") from error
        async with response:
            yield _HttpAnswer(response, call.silence_seconds)

    @asynccontextmanager
    async def attach(self, sidecar: Sidecar, call: Call) -> AsyncGenerator[Socket]:
        """Open a WebSocket and hold it; see `SidecarTransport.attach`."""
        url, pin = self._url(sidecar, call), _pin(sidecar.certificate)
        try:
            made: _Upgraded = await self._retrying.copy()(self._upgraded, url, pin, call)
        except aiohttp.WSServerHandshakeError as error:
            raise UpgradeRefusedError(f"{url}: {error.message} {error.status}") from error
        except _BROKEN as error:
            raise SidecarError(f"{url}: {_told(error)}") from error
        try:
            yield _HttpSocket(made, call.silence_seconds)
        finally:
            # aiohttp would read on until the sidecar closes too, however much it sends before.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await made.close(code=_GOING_AWAY)

    def _url(self, sidecar: Sidecar, call: Call) -> URL:
        scheme = "https" if sidecar.certificate else "http"
        place = URL.build(scheme=scheme, host=sidecar.address, port=self._port, path=call.path)
        # Encoded here: paths are bytes, which yarl refuses where they are no UTF-8.
        return URL(f"{place}?{urlencode(call.query, errors='surrogateescape')}", encoded=True)

    async def _sent(self, url: URL, pin: _Pin, call: Call) -> aiohttp.ClientResponse:
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=call.silence_seconds
        )
        return await self._session.request(
            call.method,
            url,
            data=call.body,
            headers=call.headers,
            ssl=pin,
            allow_redirects=False,
            timeout=limits,
        )

    async def _upgraded(self, url: URL, pin: _Pin, call: Call) -> _Upgraded:
        return await self._session.ws_connect(
            url, headers=call.headers, ssl=pin, max_msg_size=FRAME_BYTES
        )


# The same object each time: by that a connection is known as one to use again. As many as are used
# at a time; for those beyond that connections are made anew.
@lru_cache(maxsize=4096)
def _pin(certificate: str) -> _Pin:
    """Return what aiohttp holds a connection to, over TLS; nothing for one without it."""
    return aiohttp.Fingerprint(bytes.fromhex(certificate)) if certificate else True


def _is_worth_a_retry(error: BaseException) -> bool:
    return isinstance(error, _NOT_CONNECTED) and not isinstance(error, _SOMEBODY_ELSE)


def _told(error: Exception) -> str:
    who = "whoever answers is not this sandbox's sidecar: "
    return f"{who if isinstance(error, _SOMEBODY_ELSE) else ''}{error!r}"


class _HttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse, silence_seconds: float | None) -> None:
        self._response = response
        self._silence_seconds = silence_seconds

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while True:
                # aiohttp's own timer is not enough: its parser, given chunks that make no sense,
                # drops connection and timer and tells nobody who waits for the body.
                async with asyncio.timeout(self._silence_seconds):
                    part = await content.readany()
                if not part:
                    return
                yield part
        except _BROKEN as error:
            raise SidecarError(f"{self._response.url}: broke off: {error!r}") from error

    async def read(self, limit: int) -> bytes:
        content = bytearray()
        async for part in self.chunks():
            content += part
            if len(content) >= limit:
                break
        return bytes(content[:limit])


class _HttpSocket:
    def __init__(self, made: _Upgraded, silence_seconds: float | None) -> None:
        self._made = made
        self._silence_seconds = silence_seconds
        self.closing = Closing(_GOING_AWAY, "")

    async def messages(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self._made.receive(self._silence_seconds)
            except _BROKEN as error:
                raise SidecarError(f"the WebSocket broke off: {error!r}") from error
            if message.type is aiohttp.WSMsgType.CLOSE:
                self.closing = Closing(message.data, message.extra or "")
                return
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                raise SidecarError(f"the WebSocket broke off: {message}")
            yield message.data

    async def send(self, message: str | bytes) -> None:
        made = self._made
        try:
            async with asyncio.timeout(TYPING_STALL_SECONDS):
                await (
                    made.send_str(message) if isinstance(message, str) else made.send_bytes(message)
                )
        except _BROKEN as error:
            raise SidecarError(f"the WebSocket takes nothing: {error!r}") from error


def _socket(address: Any) -> socket.socket:
    made = socket.socket(*address[:3])  # family, type, protocol: as from getaddrinfo
    made.settimeout(0)
    # A stream may be silent for ever, a node that is gone is so too: the kernel tells them apart.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, CONNECTS_AGAIN)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4 * PROBE_SECONDS * 1000)
    return made


def sessions() -> aiohttp.ClientSession:
    """Return a session for `HttpSidecars`, to be used as a context manager in a running loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            limit_per_host=0,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            use_dns_cache=False,
            socket_factory=_socket,
            # Older asyncio can lose a TLS connection that is closing: python/cpython#118960.
            enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
        ),
        # Of WebSockets; every other request has its own.
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=UPGRADE_SECONDS
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
    )
