"""Requests on their way, and again where that helps: the only module that speaks HTTP."""

from __future__ import annotations

import random
import ssl
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar
from uuid import uuid4

import httpx
from pydantic import ValidationError

from isola_sdk.deadlines import earliest
from isola_sdk.errors import APIConnectionError, IsolaError, NotFoundError
from isola_sdk.protocol.messages import Answer, Request
from isola_sdk.protocol.problems import error_of, nonsense
from isola_sdk.protocol.retrying import Attempts, Retrying
from isola_sdk.sync.bodies import Body
from isola_sdk.sync.runtime import Client, sleep
from isola_sdk.version import VERSION
from isola_sdk.wire import IsolaModel

M = TypeVar("M", bound=IsolaModel)

# A gateway answers within its own 45 s, or says that it is alive every 15 s.
SILENCE_SECONDS = 30.0
CONNECT_SECONDS = 5.0

# Nothing of an upload was sent, or of a request's body heard.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a client reaches its gateway.

    Attributes:
        headers: Of every request.
        verify: TLS: True, False, or what `ssl` makes of a file with certificates.
        http_client: Takes the place of one made here; it stays open.
        retrying: When to try again.
        call_seconds: Deadline of each call that neither waits nor moves a file; None for none.
    """

    headers: Mapping[str, str]
    verify: ssl.SSLContext | bool
    http_client: Client | None
    retrying: Retrying
    call_seconds: float | None


class Api:
    """A gateway, as seen from here."""

    def __init__(self, url: str, options: Options) -> None:
        self._url = _checked(url)
        self._options = options
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        self._client = options.http_client or Client(verify=options.verify, limits=limits)
        self._headers = {
            "User-Agent": f"isola-sdk/{VERSION}",
            # Offsets count the bytes as they are.
            "Accept-Encoding": "identity",
            **options.headers,
        }

    def close(self) -> None:
        """Close the connections, unless somebody else made them."""
        if self._options.http_client is None:
            self._client.close()

    def attempts(self, seconds: float | None = None) -> Attempts:
        """Begin with something that may take `seconds`, however often it is tried."""
        return Attempts(self._options.retrying, ends_at=earliest(seconds))

    def ask(self, request: Request, model: type[M]) -> tuple[M, str | None]:
        """Return what is answered, and under which request id.

        Raises:
            IsolaError: It was not.
        """
        answer = self.send(request)
        try:
            return model.model_validate_json(answer.content), request_id_of(answer)
        except ValidationError as error:
            raise nonsense(answer, request, str(error)) from error

    def send(self, request: Request, body: Body | None = None) -> Answer:
        """Return the answer to `request`, which is a success.

        Args:
            request: Which is tried again, under one key, as long as that helps.
            body: In place of the request's content.
        """
        request = request.identified(str(uuid4()))
        seconds = None if body or self._options.call_seconds is None else self._options.call_seconds
        attempts = self.attempts(seconds)
        while True:
            try:
                return self._once(request, body, attempts)
            except IsolaError as failure:
                if request.gone_is_done and attempts.failures and is_missing(failure):
                    return Answer(status=204, headers={})
                again = request.repeatable and (body is None or body.can_rewind)
                self.rest(attempts, failure, repeatable=again)
                if body:
                    body.rewind()

    def rest(self, attempts: Attempts, failure: IsolaError, *, repeatable: bool = True) -> None:
        """Wait before the next attempt.

        Raises:
            IsolaError: `failure`, where there is none.
        """
        luck = random.random()  # noqa: S311 - it spreads clients, and hides nothing
        pause = attempts.after(failure, now=monotonic(), luck=luck, repeatable=repeatable)
        sleep(pause)

    def _once(self, request: Request, body: Body | None, attempts: Attempts) -> Answer:
        content = body.pieces() if body else None
        size = body.size if body else None
        if size is not None:
            request = request.with_headers(Content_Length=str(size))
        with self.opened(request, attempts, content=content) as response:
            answer = self.whole(response, request, attempts)
        if answer.is_error:
            raise error_of(answer, request)
        return answer

    def whole(self, response: httpx.Response, request: Request, attempts: Attempts) -> Answer:
        """Return an answer whose body is small."""
        pieces: list[bytes] = []
        for piece in response.iter_raw():
            self.left(attempts, request)
            pieces.append(piece)
        return replaced(head_of(response), b"".join(pieces))

    def accepted(
        self, response: httpx.Response, request: Request, attempts: Attempts, media_type: str
    ) -> Answer:
        """Return the head of a stream.

        Raises:
            APIError: It is none.
        """
        head = head_of(response)
        if head.is_error:
            raise error_of(self.whole(response, request, attempts), request)
        found = head.headers.get("content-type", "nothing")
        if media_type not in found:
            # Whatever stands in between says something of its own, and may be out of the way soon.
            raise APIConnectionError(
                f"{request.name}: {found} instead of {media_type}", request_id=request.request_id
            )
        return head

    def left(self, attempts: Attempts, request: Request) -> float | None:
        """Return the seconds to the deadline.

        Raises:
            IsolaTimeoutError: It is over.
        """
        return attempts.left(monotonic(), request.name, request.request_id)

    @contextmanager
    def opened(
        self,
        request: Request,
        attempts: Attempts,
        *,
        content: Iterable[bytes] | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> Generator[httpx.Response]:
        """Hold an answer whose body is still to come.

        Raises:
            APIConnectionError: There is none, or it breaks off.
        """
        left = self.left(attempts, request)
        bound = float("inf") if left is None else left
        timeout = httpx.Timeout(
            connect=min(CONNECT_SECONDS, bound),
            read=min(silence_seconds + request.held_seconds, bound),
            write=min(SILENCE_SECONDS, bound),
            pool=min(SILENCE_SECONDS, bound),
        )
        with connection_error(request, httpx.TransportError):
            with self._client.stream(
                request.method,
                self._url + request.target,
                headers={**self._headers, **request.headers},
                content=request.content if content is None else content,
                timeout=timeout,
            ) as response:
                yield response


@contextmanager
def connection_error(request: Request, *kinds: type[Exception]) -> Generator[None]:
    """Raise `APIConnectionError` for what the HTTP client raises within the block."""
    try:
        yield
    except _HOPELESS as error:
        raise IsolaError(f"{request.name}: {error}", request_id=request.request_id) from error
    except kinds as error:
        raise APIConnectionError(
            f"{request.name}: {str(error) or type(error).__name__}",
            request_id=request.request_id,
            may_have_arrived=not isinstance(error, _NOT_SENT),
        ) from error


def head_of(response: httpx.Response) -> Answer:
    """Return an answer without its body."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers)


def replaced(head: Answer, content: bytes) -> Answer:
    """Return `head` with its body."""
    return Answer(status=head.status, headers=head.headers, content=content)


def request_id_of(answer: Answer) -> str | None:
    """Return the id under which the gateway knows the request."""
    return answer.headers.get("x-request-id")


def is_missing(failure: IsolaError) -> bool:
    """Return whether what was asked about is not there."""
    return isinstance(failure, NotFoundError)


def is_silence(failure: IsolaError) -> bool:
    """Return whether nothing but silence is what failed."""
    return isinstance(failure.__cause__, httpx.ReadTimeout)


def _checked(url: str) -> str:
    found = url.strip().rstrip("/")
    parsed = httpx.URL(found)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"the gateway's URL must be like http://host:port, not {url!r}")
    return found
