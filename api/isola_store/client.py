"""JSON to and from the API server: connection, authentication, and the one border for its errors.

The Kubernetes client brings kubeconfig and service account handling, TLS and the connection pool.
Its generated models are left aside: what the planes read and write is JSON, most of it under
fields (`podTemplate`, `status.conditions`) that no generated model knows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any, Protocol, Self

import aiohttp
from kubernetes.aio import client, config

from isola_lifecycle.errors import (
    AlreadyExistsError,
    LifecycleError,
    NotFoundError,
    RejectedError,
    TransientError,
)

_config: Any = config  # untyped upstream

JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

# No request of ours takes longer when all is well; a watch has its own limit.
REQUEST_TIMEOUT_SECONDS = 30

CLOSING_SECONDS = 0.1

# A list is read in pages: one answer with 10,000 whole logs would be 150 MB.
PAGE_ITEMS = 500


class ConflictError(LifecycleError):
    """409 of an update: the object moved on. Translated by whoever knows what was expected."""


class KubernetesClient:
    """Requests to one API server.

    Args:
        api: A configured client; closed with this one.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api: Any = api

    @classmethod
    async def connect(cls, kubeconfig: str | None = None) -> Self:
        """Return a client for `kubeconfig`, else for the cluster that this process runs in."""
        configuration = client.Configuration()
        # Watches hold a connection each; what is left serves requests.
        configuration.connection_pool_maxsize = 64
        if kubeconfig:
            await _config.load_kube_config(kubeconfig, client_configuration=configuration)
        else:
            _config.load_incluster_config(client_configuration=configuration)
        return cls(client.ApiClient(configuration))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._api.close()
        # One whose handshake was cut short closes a moment later; aiohttp waits for the others.
        await asyncio.sleep(CLOSING_SECONDS)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> dict[str, Any]:
        """Return the JSON object that the API server answers with.

        Args:
            method: HTTP method.
            path: With its leading slash, without host.
            body: JSON value, or None for no body.
            query: Query parameters.
            content_type: Of the body.
            accept: What to answer with: all of an object, or its metadata alone.

        Raises:
            NotFoundError: 404 and 410.
            AlreadyExistsError: 409 with the reason `AlreadyExists`.
            ConflictError: Any other 409.
            RejectedError: Any other 4xx that would come again.
            TransientError: 429, 5xx, or no answer at all.
        """
        try:
            response = await self._send(
                method, path, body, query, {"Accept": accept, "Content-Type": content_type}
            )
            async with response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise TransientError(f"no answer from the API server: {error!r}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise error_of(response.status, content, response.headers.get("Retry-After"))
        return json.loads(content)

    async def watch(
        self, path: str, query: Mapping[str, str], *, timeout_seconds: int
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield watch events (`type`, `object`) until the API server ends the watch.

        Raises:
            NotFoundError: The resource version is too old (410): list again.
            TransientError: The connection broke: watch again.
        """
        query = {**query, "watch": "true", "timeoutSeconds": str(timeout_seconds)}
        # A dead peer sends nothing: give up a little after it should have ended the watch.
        headers = {"Accept": JSON, "Content-Type": JSON}
        limit = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=timeout_seconds + 15)
        try:
            async with AsyncExitStack() as stack:
                response = await self._send("GET", path, None, query, headers, timeout=limit)
                stack.callback(response.close)
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise error_of(response.status, await response.read(), None)
                async for line in response.content:
                    yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise TransientError(f"the watch broke: {error!r}") from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        *,
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 - aiohttp's own
    ) -> aiohttp.ClientResponse:
        parameters = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=dict(headers),
            body=body,
            auth_settings=["BearerToken"],
        )
        limit = timeout or aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        answer = await self._api.call_api(*parameters, _request_timeout=limit)
        return answer.response


def error_of(code: int, content: bytes, retry_after: str | None) -> LifecycleError:
    """Return the error that an answer of the API server stands for (a `Status` object, or not)."""
    try:
        status: dict[str, Any] = json.loads(content)
    except ValueError:
        status = {}
    details: dict[str, Any] = status.get("details") or {}
    message = str(status.get("message") or content.decode(errors="replace") or f"HTTP {code}")
    match code:
        case 404 | 410:
            return NotFoundError(message)
        case 409 if status.get("reason") == "AlreadyExists":
            return AlreadyExistsError(message)
        case 409:
            return ConflictError(message)
        case 408 | 429 | 500 | 502 | 503 | 504:
            return TransientError(
                message, code=code, retry_after_seconds=_seconds(retry_after, details)
            )
        case _:
            return RejectedError(message, code=code, causes=_causes(details))


def _seconds(retry_after: str | None, details: Mapping[str, Any]) -> int | None:
    value = retry_after or details.get("retryAfterSeconds")
    return int(value) if value and str(value).isdecimal() else None


def _causes(details: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    causes: list[dict[str, Any]] = details.get("causes") or []
    return tuple((str(c.get("field", "")), str(c.get("message", ""))) for c in causes)


class Requester(Protocol):
    """The part of `KubernetesClient` that sends one request."""

    async def request(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the answer to a request."""
        ...


class MetadataOnly:
    """A client that leaves out what is in the objects, for those who look at thousands.

    Args:
        client: The one that asks.
    """

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client

    async def request(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the answer to a request."""
        return await self._client.request(method, path, body, query=query, accept=METADATA)


async def collection(
    client: Requester, path: str, query: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], str]:
    """Return all objects below `path`, and the resource version from which to watch them."""
    items: list[dict[str, Any]] = []
    parameters = {**(query or {}), "limit": str(PAGE_ITEMS)}
    while True:
        page = await client.request("GET", path, query=parameters)
        items += page["items"] or []  # null, in a list of metadata without any
        token = page["metadata"].get("continue")
        if not token:
            return items, page["metadata"]["resourceVersion"]
        parameters["continue"] = token
