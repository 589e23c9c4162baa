"""A viewer of a terminal: a WebSocket client of the standard library's sockets and wsproto."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.pods import Client


class Viewer:
    """Attached to `command`'s terminal; `output` is what it showed, `texts` what was said."""

    def __init__(self, client: Client, command: str, offset: int | None = None) -> None:
        self.output = b""
        self.texts: list[Any] = []
        self.closed: tuple[int, str] | None = None
        self.refused: int | None = None
        self.refusal = b""
        self.pings = 0
        self._accepted = False
        self._socket = client.dial()
        self._protocol = WSConnection(ConnectionType.CLIENT)
        query = "" if offset is None else f"?offset={offset}"
        target = f"/v1/commands/{command}/terminal{query}"
        self._socket.sendall(self._protocol.send(Request(host="x", target=target)))
        self.until(lambda: self._accepted or self.refused)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def type(self, typed: bytes) -> None:
        self._socket.sendall(self._protocol.send(BytesMessage(typed)))

    def say(self, text: str) -> None:
        self._socket.sendall(self._protocol.send(TextMessage(text)))

    def resize(self, rows: int, columns: int) -> None:
        self.say(json.dumps({"rows": rows, "columns": columns}))

    def send_raw(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def leave(self) -> None:
        self._socket.sendall(self._protocol.send(CloseConnection(1000)))
        self.to_end()

    def until(self, holds: Callable[[], object], seconds: float = 10) -> None:
        """Read until it holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            left = deadline - time.monotonic()
            assert left > 0, (self.output[-500:], self.texts, self.closed)
            self._socket.settimeout(left)
            received = self._socket.recv(65536)
            self._protocol.receive_data(received or None)
            for event in self._protocol.events():
                self._take(event)

    def sees(self, shown: bytes, seconds: float = 10) -> None:
        self.until(lambda: shown in self.output, seconds)

    def to_end(self, seconds: float = 10) -> Any:
        """Read until the sidecar closes, and return the last text."""
        self.until(lambda: self.closed, seconds)
        return self.texts[-1]

    def _take(self, event: object) -> None:
        match event:
            case AcceptConnection():
                self._accepted = True
            case RejectConnection():
                self.refused = event.status_code
            case RejectData():
                self.refusal += event.data
            case BytesMessage():
                self.output += event.data
            case TextMessage():
                self.texts.append(json.loads(event.data))
            case Ping():
                self.pings += 1
                self._socket.sendall(self._protocol.send(event.response()))
            case CloseConnection():
                self.closed = self.closed or (event.code, event.reason or "")
            case _:
                raise AssertionError(event)
