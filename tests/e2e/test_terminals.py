"""A terminal in a real sandbox, over a WebSocket; and what changes in its files, as it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import isola
import pytest

from support.cluster import Cluster

SIZE = {"rows": 24, "columns": 80}


@pytest.fixture
async def http(cluster: Cluster) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cluster.url) as http:
        yield http


async def shell(http: aiohttp.ClientSession, sandbox: isola.Sandbox) -> str:
    """Start a shell with a terminal, and return where that is."""
    url = f"/v1/sandboxes/{sandbox.id}/commands"
    body = {"args": ["sh", "-i"], "terminal": SIZE, "env": {"PS1": "$ "}}
    async with http.post(url, json=body) as answer:
        assert answer.status == 202, await answer.text()
        return f"{url}/{(await answer.json())['id']}/terminal"


async def shows(socket: aiohttp.ClientWebSocketResponse, expected: bytes) -> bytes:
    """Return the output up to what is expected."""
    output = b""
    async with asyncio.timeout(20):
        while expected not in output:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.BINARY, (message, output)
            output += message.data
    return output


async def test_a_shell_is_used_resized_left_and_come_back_to(
    http: aiohttp.ClientSession, sandbox: isola.Sandbox
) -> None:
    url = await shell(http, sandbox)
    async with http.ws_connect(url) as socket:
        assert await socket.receive_json() == {"offset": 0}
        seen = await shows(socket, b"$ ")
        await socket.send_json({"rows": 33, "columns": 99})
        await socket.send_bytes(b"stty size; tty\n")
        seen += await shows(socket, b"/dev/pts/")
        assert b"33 99" in seen
        await socket.send_bytes(b"sleep 600\n")
        seen += await shows(socket, b"sleep 600")
        await socket.send_bytes(b"\x03")  # Ctrl-C ends the job and not the shell
        await socket.send_bytes(b"echo status $?\n")
        seen += await shows(socket, b"status 130")
        await socket.send_bytes(b"(sleep 1; echo meanwhile) &\n")
        seen += await shows(socket, b"&")
    async with http.ws_connect(f"{url}?offset={len(seen)}") as socket:
        assert await socket.receive_json() == {"offset": len(seen)}
        missed = await shows(socket, b"meanwhile\r\n")
        assert b"status 130" not in missed
        await socket.send_bytes(b"exit 5\n")
        said = [m.json() async for m in socket if m.type is aiohttp.WSMsgType.TEXT]
    assert said == [{"exitCode": 5, "cause": "Exited"}]


async def test_changes_are_told_as_they_are_made(
    http: aiohttp.ClientSession, sandbox: isola.Sandbox
) -> None:
    await asyncio.to_thread(sandbox.commands.run, "mkdir", "-p", "/watched/deep")
    url = f"/v1/sandboxes/{sandbox.id}/filesystem/watch"
    query = {"path": "/watched", "recursive": "true"}
    async with asyncio.timeout(30), http.get(url, params=query) as answer:
        assert answer.status == 200, await answer.text()
        events = told(answer)
        assert (await anext(events))[0] == "ready"
        await asyncio.to_thread(sandbox.filesystem.write, "/watched/deep/uploaded", b"x")
        assert await anext(events) == ("created", "/watched/deep/uploaded")
        script = "cd /watched; echo y >>deep/uploaded; mv deep/uploaded moved; rm moved"
        await asyncio.to_thread(sandbox.commands.run, "sh", "-c", script)
        seen = [await anext(events) for _ in range(3)]
    assert seen == [
        ("modified", "/watched/deep/uploaded"),
        ("renamed", "/watched/moved"),
        ("removed", "/watched/moved"),
    ]


async def told(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str]]:
    """Yield the kind and the path of each event."""
    kind = ""
    async for line in answer.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            document: dict[str, Any] = json.loads(value)
            yield kind, document.get("path", "")
