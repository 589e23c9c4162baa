"""The route of the network: whether this pod reaches an address. So does the code in it, or not."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from . import requests
from .problems import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .exchange import Exchange
    from .sidecar import Sidecar

# An answer takes a packet each way; where policies drop packets, none ever comes, and a new
# attempt is quicker than the kernel's repetition.
_ATTEMPT_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.01
_LAST_PORT: Final = 65535
_DIGITS: Final = 5


async def reachable(_: Sidecar, exchange: Exchange, __: str) -> None:
    """Tell whether a connection comes about, at once or before the time is over."""
    address, port = _address(exchange.query), _port(exchange.query)
    seconds = requests.wait_seconds(exchange.query)
    async with exchange.while_connected():
        reached = await _reached(address, port, seconds)
    await exchange.answer_json(200, {"reachable": reached})


async def _reached(address: str, port: int, seconds: int) -> bool:
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while not await _connects(address, port):
        if clock() >= end:
            return False
        await asyncio.sleep(_PAUSE_SECONDS)
    return True


async def _connects(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_ATTEMPT_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _address(query: Mapping[str, str]) -> str:
    text = query.get("address", "")
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        raise invalid("query.address", "must be an IP address", text) from None
    return text


def _port(query: Mapping[str, str]) -> int:
    text = query.get("port", "")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0
    if not 1 <= number <= _LAST_PORT:
        raise invalid("query.port", f"must be 1 to {_LAST_PORT}", text)
    return number
