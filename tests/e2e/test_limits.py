"""What is too much, too long or too slow is refused at once, and keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import isola
import pytest

from support.cluster import Cluster


def test_a_body_that_is_too_long_is_413(http: httpx.Client) -> None:
    answer = http.post("/sandboxes", content=b'{"x": "' + b"x" * (1 << 20) + b'"}')
    assert answer.status_code == 413
    assert "smaller than 1048576 bytes" in answer.json()["detail"]


def test_a_head_that_is_too_long_is_431(http: httpx.Client) -> None:
    assert http.get("/sandboxes", headers={"X-Long": "x" * 100_000}).status_code == 431


def test_a_head_that_does_not_come_is_408(cluster: Cluster) -> None:
    address = httpx.URL(cluster.url)
    with socket.create_connection((address.host, address.port or 80), timeout=60) as slow:
        slow.sendall(b"GET /v1/sandboxes HTTP/1.1\r\nHost: a\r\n")
        told = b"".join(iter(lambda: slow.recv(65536), b""))
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 10 s" in told


async def test_more_commands_than_a_sandbox_takes_are_429(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    url = f"{cluster.url}/v1/sandboxes/{sandbox.id}/commands"
    few = httpx.Limits(max_connections=8)
    async with httpx.AsyncClient(limits=few, timeout=httpx.Timeout(60, pool=None)) as http:
        posts = (http.post(url, json={"args": ["sleep", "600"]}) for _ in range(520))
        answers = await asyncio.gather(*posts)
        assert Counter(each.status_code for each in answers) == {202: 512, 429: 8}
        refused = {each.json()["detail"] for each in answers if each.status_code == 429}
        assert refused == {"512 commands are running already; wait or kill some"}
        assert (await http.get(url)).status_code == 200


@pytest.mark.timeout(300)
async def test_a_full_gateway_refuses_with_retry_after_and_keeps_nobody_waiting(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    """Streams get three quarters of what a gateway takes; all else goes on beside them."""
    url = f"{cluster.url}/v1/sandboxes"
    limits = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(limits=limits, timeout=60))

        async def opened() -> httpx.Response:
            request = http.build_request("GET", url, headers={"Accept": "text/event-stream"})
            answer = await http.send(request, stream=True)
            stack.push_async_callback(answer.aclose)
            return answer

        for _ in range(768):
            assert (await opened()).status_code == 200
        refused = await opened()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert (await http.get(f"{cluster.url}/readyz")).status_code == 200
        command = await asyncio.to_thread(sandbox.commands.spawn, "true")
        assert await asyncio.to_thread(command.wait) == 0
