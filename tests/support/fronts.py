"""One real sidecar behind many pods: each pod has an address and a certificate of its own."""

from __future__ import annotations

import asyncio
import errno
from ipaddress import ip_address
from itertools import count
from typing import Any

from isola_lifecycle.naming import SIDECAR_PORT
from isola_operator.credentials import Credentials
from support.certificates import server_context


class Fronts:
    """An address for each pod, where its own certificate is shown; behind all is one sidecar."""

    def __init__(self, sidecar: str) -> None:
        self._sidecar = sidecar
        self._numbers = count(1)
        self._servers: list[asyncio.Server] = []

    async def place(self, pod: dict[str, Any]) -> str:
        sidecar = pod["spec"]["initContainers"][0]
        (certificate,) = (each["value"] for each in sidecar["env"])
        context = server_context(Credentials(certificate, sidecar["workingDir"].lstrip("/")))
        while True:
            address = str(ip_address("127.1.0.0") + next(self._numbers))
            try:
                serve = asyncio.start_server(self._pass_on, address, SIDECAR_PORT, ssl=context)
                self._servers.append(await serve)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise  # else it is another one's, who tests on this machine as well
            else:
                return address

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, onwards = await asyncio.open_connection(self._sidecar, SIDECAR_PORT)
        both = (_piped(reader, onwards), _piped(beyond, writer))
        tasks = [asyncio.create_task(each) for each in both]
        # The test's end cancels this; asyncio's streams take that for a failure.
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for each in (onwards, writer):
                each.transport.abort()
        for task in tasks:
            task.cancel()
        for each in (onwards, writer):
            each.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        for server in self._servers:
            server.close()


async def _piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
