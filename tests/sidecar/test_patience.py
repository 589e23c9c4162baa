"""What takes the sidecar its time: every deadline of the contract, all at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sidecar.viewers import Viewer

if TYPE_CHECKING:
    from sidecar.pods import Client


async def test_every_deadline_ends_what_it_is_for_and_nothing_else(client: Client) -> None:
    silent = client.start("sleep", "60")
    terminal = client.start("sleep", "60", terminal={"rows": 24, "columns": 80})
    results = await asyncio.gather(
        _until_closed(client, b"GET /health HTTP/1.1\r\nHost:"),
        _until_closed(client, _post("/v1/commands", 100) + b'{"args":'),
        _until_closed(client, _post("/v1/filesystem?path=/stalled", 100) + b"x"),
        _first_body_line(client, f"/v1/commands/{silent}/stdout"),
        asyncio.to_thread(_first_ping, client, terminal),
    )
    header, json_body, upload, keepalive, ping = results

    assert header == (b"", 10)
    assert json_body == (b"408", 5)
    assert upload == (b"408", 10)
    assert keepalive == (b": keepalive\n", 15)
    assert ping == 20
    assert client.download("/stalled").status == 404
    assert client.wait(silent, 0) == {"exitCode": None}
    client.kill(silent)
    client.kill(terminal)


def _post(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


async def _until_closed(client: Client, sent: bytes) -> tuple[bytes, int]:
    """Return the status and the seconds, to the nearest few, until it came."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(sent)
    line = await reader.readline()
    seconds = time.monotonic() - begun
    writer.close()
    return b"".join(line.split()[1:2]), _to_fives(seconds)


async def _first_body_line(client: Client, path: str) -> tuple[bytes, int]:
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while not (line := await reader.readline()).startswith(b":"):
        pass
    seconds = time.monotonic() - begun
    writer.close()
    return line, _to_fives(seconds)


def _first_ping(client: Client, command: str) -> int:
    begun = time.monotonic()
    with Viewer(client, command) as viewer:
        viewer.until(lambda: viewer.pings, 30)
    return _to_fives(time.monotonic() - begun)


def _to_fives(seconds: float) -> int:
    return round(seconds / 5) * 5
