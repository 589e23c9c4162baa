"""`/v1/sandboxes/{sandboxId}/commands`: asked here, answered by the sandbox's sidecar."""

from __future__ import annotations

from http import HTTPStatus

from quart import Blueprint, Response

from isola_gateway import contract_commands as contract
from isola_gateway.binding import Given, mount
from isola_gateway.operation import EVENTS, JSON, OCTETS
from isola_gateway.ports import Call
from isola_gateway.proxy import ANSWER_SECONDS, EVENTS_SILENCE_SECONDS, Proxy
from isola_gateway.routes.answers import json_answer, no_content
from isola_gateway.routes.calls import headers, query
from isola_rest.commands import (
    CommandList,
    CommandStatus,
    CreateCommandRequest,
    CreateCommandResponse,
)
from isola_rest.problem import ProblemError

_PATH = "/v1/commands"
_UPGRADE = "A terminal is a WebSocket: ask for it as RFC 6455 says, version 13, by HTTP/1.1"
_UPGRADE_HEADERS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
}
# A thousand commands with arguments of a few kilobytes.
LIST_BYTES = 8 * 1024 * 1024


class CommandRoutes:
    """Views of commands.

    Args:
        proxy: The way to the sidecar.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = (
            (contract.CREATE_COMMAND, self.create),
            (contract.LIST_COMMANDS, self.list),
            (contract.GET_COMMAND_STATUS, self.status),
            (contract.GET_STDOUT, self.stdout),
            (contract.GET_STDERR, self.stderr),
            (contract.WRITE_STDIN, self.write_stdin),
            (contract.CLOSE_STDIN, self.close_stdin),
            (contract.KILL_COMMAND, self.kill),
            (contract.OPEN_TERMINAL, self.terminal),
        )
        return mount(Blueprint("commands", __name__), views)

    async def create(self, given: Given) -> Response:
        """Start a command."""
        asked = await given.json(CreateCommandRequest)
        call = Call(
            method="POST",
            path=_PATH,
            query=query(given, "container"),
            headers=headers(given, JSON),
            body=asked.model_dump_json(by_alias=True, exclude_none=True).encode(),
            silence_seconds=ANSWER_SECONDS,
        )
        content = await self._proxy.ask(given["sandboxId"], call, CreateCommandResponse)
        return json_answer(content, HTTPStatus.ACCEPTED)

    async def list(self, given: Given) -> Response:
        """Show all commands that the sidecar still knows."""
        call = Call(
            method="GET",
            path=_PATH,
            headers=headers(given),
            silence_seconds=ANSWER_SECONDS,
            answer_bytes=LIST_BYTES,
        )
        return json_answer(await self._proxy.ask(given["sandboxId"], call, CommandList))

    async def status(self, given: Given) -> Response:
        """Show whether it has ended, waiting for that as long as the client asks to."""
        call = Call(
            method="GET",
            path=f"{_path(given)}/status",
            query=query(given, "waitSeconds"),
            headers=headers(given),
            silence_seconds=given.values.get("waitSeconds", 0) + ANSWER_SECONDS,
        )
        return json_answer(await self._proxy.ask(given["sandboxId"], call, CommandStatus))

    async def stdout(self, given: Given) -> Response:
        """Stream standard output."""
        return await self._output(given, "stdout")

    async def stderr(self, given: Given) -> Response:
        """Stream standard error."""
        return await self._output(given, "stderr")

    async def _output(self, given: Given, stream: str) -> Response:
        asked = given.request.headers
        raw = OCTETS in asked.get("Accept", "")
        passed = headers(given) | {"Accept": OCTETS if raw else EVENTS}
        if "Last-Event-ID" in asked:
            passed["Last-Event-ID"] = asked["Last-Event-ID"]
        call = Call(
            method="GET",
            path=f"{_path(given)}/{stream}",
            headers=passed,
            # Bytes as they are leave no room for a sign of life.
            silence_seconds=None if raw else EVENTS_SILENCE_SECONDS,
        )
        return await self._proxy.stream(given["sandboxId"], call, OCTETS if raw else EVENTS)

    async def write_stdin(self, given: Given) -> Response:
        """Pass the body on to standard input."""
        call = Call(
            method="POST", path=f"{_path(given)}/stdin", headers=headers(given, OCTETS, sized=True)
        )
        await self._proxy.upload(given["sandboxId"], call, given.octets())
        return no_content()

    async def close_stdin(self, given: Given) -> Response:
        """End standard input."""
        return await self._told(given, "POST", f"{_path(given)}/stdin/close")

    async def kill(self, given: Given) -> Response:
        """End the command, or send it another signal."""
        return await self._told(given, "DELETE", _path(given))

    async def terminal(self, given: Given) -> Response:
        """Show the command's terminal, and type into it."""
        if not given.request.opens_socket:
            raise ProblemError(HTTPStatus.UPGRADE_REQUIRED, _UPGRADE, headers=_UPGRADE_HEADERS)
        call = Call(
            method="GET",
            path=f"{_path(given)}/terminal",
            query=query(given, "offset"),
            headers=headers(given),
            silence_seconds=EVENTS_SILENCE_SECONDS,
        )
        return await self._proxy.attach(given["sandboxId"], call)

    async def _told(self, given: Given, method: str, path: str) -> Response:
        call = Call(
            method=method,
            path=path,
            query=query(given, "signal"),
            headers=headers(given),
            silence_seconds=ANSWER_SECONDS,
        )
        await self._proxy.tell(given["sandboxId"], call)
        return no_content()


def _path(given: Given) -> str:
    return f"{_PATH}/{given['commandId']}"
