"""Commands and files in process: what goes to the sidecar, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pytest

from gateway.fakes import ADDRESS, Client, Scripted, World, fact, started
from isola_gateway.ports import Sidecar

COMMAND = "0b5f2f0e-8f5a-4a52-9d1c-3c1d5b3f0a11"
COMMANDS = "/v1/sandboxes/box/commands"
FILES = "/v1/sandboxes/box/filesystem"


ENTRY = {
    "name": "a",
    "path": "/a",
    "type": "file",
    "size": 3,
    "permissions": "0644",
    "uid": 0,
    "gid": 0,
    "modifiedTime": "2026-11-24T04:56:10.000001Z",
}


@dataclass(frozen=True)
class Route:
    """A request to the gateway and what it must become."""

    method: str
    path: str
    inner: str
    status: int
    body: bytes | None = None
    answer: object = None

    def __str__(self) -> str:
        return f"{self.method} {self.inner}"


ROUTES = [
    Route("POST", COMMANDS, "/v1/commands", 202, b'{"args":["true"]}', {"id": COMMAND}),
    Route(
        "GET",
        f"{COMMANDS}/{COMMAND}/status",
        f"/v1/commands/{COMMAND}/status",
        200,
        answer={"exitCode": None},
    ),
    Route("GET", f"{COMMANDS}/{COMMAND}/stdout", f"/v1/commands/{COMMAND}/stdout", 200),
    Route("GET", f"{COMMANDS}/{COMMAND}/stderr", f"/v1/commands/{COMMAND}/stderr", 200),
    Route("POST", f"{COMMANDS}/{COMMAND}/stdin", f"/v1/commands/{COMMAND}/stdin", 204, b"hello"),
    Route("POST", f"{COMMANDS}/{COMMAND}/stdin/close", f"/v1/commands/{COMMAND}/stdin/close", 204),
    Route("DELETE", f"{COMMANDS}/{COMMAND}", f"/v1/commands/{COMMAND}", 204),
    Route("GET", COMMANDS, "/v1/commands", 200, answer={"commands": []}),
    Route("GET", f"{FILES}/entries?path=a", "/v1/filesystem/entries", 200, answer={"entries": []}),
    Route("GET", f"{FILES}/stat?path=a", "/v1/filesystem/stat", 200, answer=ENTRY),
    Route(
        "POST",
        f"{FILES}/directories?path=a",
        "/v1/filesystem/directories",
        201,
        answer={"absolutePath": "/a"},
    ),
    Route("POST", f"{FILES}/move?from=a&to=b", "/v1/filesystem/move", 204),
    Route("DELETE", f"{FILES}?path=a", "/v1/filesystem", 204),
    Route("GET", f"{FILES}?path=a", "/v1/filesystem", 200),
    Route("GET", f"{FILES}/watch?path=a", "/v1/filesystem/watch", 200),
    Route("POST", f"{FILES}?path=a", "/v1/filesystem", 204, b"content"),
]

every_route = pytest.mark.parametrize("route", ROUTES, ids=str)


async def sent(client: Client, route: Route, **headers: str) -> Any:
    if route is ROUTES[0]:
        headers["Content-Type"] = "application/json"
    return await client.open(route.path, method=route.method, data=route.body, headers=headers)


@every_route
async def test_a_request_reaches_the_sidecar_of_its_sandbox(
    client: Client, gateway: World, route: Route
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(route.status, route.answer)
    response = await sent(client, route, **{"X-Request-Id": "r-1", "Cookie": "secret"})
    assert response.status_code == route.status
    assert response.headers["X-Request-Id"] == "r-1"
    [received] = gateway.sidecars.received
    assert received.address == ADDRESS
    assert (received.call.method, received.call.path) == (route.method, route.inner)
    assert received.body == (route.body or b"")
    assert received.call.headers["X-Request-Id"] == "r-1"
    assert "Cookie" not in received.call.headers
    assert gateway.sidecars.open_answers == 0
    if route.status == 204:
        assert await response.get_data() == b""


@every_route
async def test_an_unknown_sandbox_is_404(client: Client, route: Route) -> None:
    response = await sent(client, route)
    assert response.status_code == 404
    assert "no sandbox box" in (await response.json)["detail"]


@every_route
async def test_a_sandbox_that_does_not_run_is_409_and_says_why(
    client: Client, gateway: World, route: Route
) -> None:
    trouble = fact("Started", "ImagePullFailed", "no such image", holds=False)
    await gateway.exists("box", *started()[:3], trouble)
    response = await sent(client, route)
    assert response.status_code == 409
    detail = (await response.json)["detail"]
    assert "Pending" in detail
    assert "ImagePullFailed: no such image" in detail
    assert not gateway.sidecars.received


async def test_an_ended_sandbox_is_409_with_its_cause_of_death(
    client: Client, gateway: World
) -> None:
    end = fact("Succeeded", "OOMKilled", "too much memory", holds=False)
    later = fact("TerminationRequested", "ClientRequest", "asked for")
    await gateway.exists("box", *started(), end, later)
    response = await sent(client, ROUTES[0])
    assert response.status_code == 409
    assert "Failed" in (await response.json)["detail"]
    assert "OOMKilled" in (await response.json)["detail"]


async def test_a_sandbox_without_an_address_is_409(client: Client, gateway: World) -> None:
    await gateway.exists("box", *started(address=""))
    assert (await sent(client, ROUTES[0])).status_code == 409


async def test_a_sandbox_that_the_copy_does_not_show_as_running_yet_takes_commands(
    client: Client, gateway: World
) -> None:
    await gateway.exists("box", *started()[:2])
    gateway.view.lags = True
    await gateway.records("box", *started()[2:])
    gateway.sidecars.says(202, {"id": COMMAND})
    assert (await sent(client, ROUTES[0])).status_code == 202


@every_route
async def test_a_sidecar_that_cannot_be_reached_is_502(
    client: Client, gateway: World, route: Route
) -> None:
    await gateway.runs("box")
    gateway.sidecars.unreachable = True
    response = await sent(client, route)
    assert response.status_code == 502
    assert response.content_type == "application/problem+json"
    assert "refused" not in (await response.json)["detail"]


@every_route
@pytest.mark.parametrize("status", [500, 503, 302, 101])
async def test_a_sidecar_that_fails_or_redirects_is_502_without_its_words(
    client: Client, gateway: World, route: Route, status: int
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(status, {"detail": "a stack trace"}, headers={"Location": "http://x"})
    response = await sent(client, route)
    assert response.status_code == 502
    assert "stack" not in await response.get_data(as_text=True)
    assert "Location" not in response.headers


@every_route
@pytest.mark.parametrize("status", [400, 404, 409, 410, 422, 429, 507])
async def test_what_a_sidecar_refuses_is_passed_on_with_its_detail(
    client: Client, gateway: World, route: Route, status: int
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(
        status, {"detail": "no such thing", "title": "?"}, headers={"Retry-After": "3"}
    )
    response = await sent(client, route)
    problem = await response.json
    assert response.status_code == status == problem["status"]
    assert problem["detail"] == "no such thing"
    assert response.headers["Retry-After"] == "3"
    assert gateway.sidecars.open_answers == 0


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param(b"[1]", id="no object"),
        pytest.param(b'{"detail": 5}', id="no text"),
        pytest.param(b'{"detail": "' + b"x" * 5000 + b'"}', id="too much"),
    ],
)
async def test_a_refusal_without_a_usable_detail_keeps_its_code(
    client: Client, gateway: World, said: bytes
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(404, parts=(said,))
    response = await sent(client, ROUTES[1])
    assert response.status_code == 404
    assert (await response.json)["detail"] == "Not Found"


@pytest.mark.parametrize("route", ROUTES[:2], ids=str)
@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[]", b'{"id":"x","exitCode":"0"}', b'"', b" " * 70_000 + b"{}"],
    ids=["nothing", "cut off", "a list", "wrong types", "text", "too much"],
)
async def test_an_answer_that_cannot_be_read_is_502(
    client: Client, gateway: World, route: Route, said: bytes
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, parts=(said,))
    assert (await sent(client, route)).status_code == 502


@pytest.mark.parametrize("code", [0, 3, -1, None])
async def test_a_commands_status_is_passed_on_as_it_is(
    client: Client, gateway: World, code: int | None
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, {"exitCode": code, "cause": "of a newer release"})
    response = await sent(client, ROUTES[1])
    assert await response.json == {"exitCode": code, "cause": "of a newer release"}


posts = pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "POST"], ids=str)


@posts
async def test_an_idempotency_key_goes_to_who_remembers_it(
    client: Client, gateway: World, route: Route
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(route.status, route.answer)
    response = await sent(client, route, **{"Idempotency-Key": "k 1"})
    assert response.status_code == route.status
    assert gateway.sidecars.received[0].call.headers["Idempotency-Key"] == "k 1"


@posts
@pytest.mark.parametrize("key", ["", "é", "x" * 256])
async def test_an_idempotency_key_that_breaks_its_rule_is_422(
    client: Client, gateway: World, route: Route, key: str
) -> None:
    await gateway.runs("box")
    response = await sent(client, route, **{"Idempotency-Key": key})
    assert response.status_code == 422
    assert [e["location"] for e in (await response.json)["errors"]] == ["header.Idempotency-Key"]
    assert not gateway.sidecars.received


# --- what may be asked -------------------------------------------------------------------------


async def test_a_command_is_written_anew_for_the_sidecar(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(202, {"id": COMMAND})
    asked = {
        "$schema": "x",
        "args": ["sh", "-c", "é\n"],
        "env": {"A": "1"},
        "cwd": "/tmp",
        "timeoutSeconds": 5,
    }
    response = await client.post(f"{COMMANDS}?container=web", json=asked)
    assert response.status_code == 202
    assert await response.json == {"id": COMMAND}
    [received] = gateway.sidecars.received
    assert received.call.query == {"container": "web"}
    expected = {key: value for key, value in asked.items() if key != "$schema"}
    assert json.loads(received.body) == expected


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body.args"),
        ({"args": []}, "body.args"),
        ({"args": ["a", 1]}, "body.args[1]"),
        ({"args": ["a"], "env": {"A": 1}}, "body.env.A"),
        ({"args": ["a", "b\0"]}, "body.args[1]"),
        ({"args": [""]}, "body.args"),
        ({"args": ["a"], "env": {"A": "\0"}}, "body.env.A"),
        ({"args": ["a"], "env": {"A=B": ""}}, "body.env.A=B.[key]"),
        ({"args": ["a"], "cwd": 1}, "body.cwd"),
        ({"args": ["a"], "cwd": ""}, "body.cwd"),
        ({"args": ["a"], "timeoutSeconds": 0}, "body.timeoutSeconds"),
        ({"args": ["a"], "tty": True}, "body.tty"),
    ],
)
async def test_a_command_that_breaks_a_rule_is_422(
    client: Client, gateway: World, body: Any, location: str
) -> None:
    await gateway.runs("box")
    response = await client.post(COMMANDS, json=body)
    assert response.status_code == 422
    assert [e["location"] for e in (await response.json)["errors"]] == [location]


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (f"{COMMANDS}/x/status", "path.commandId"),
        (f"{COMMANDS}/{COMMAND.upper()}/stdout", "path.commandId"),
        (f"/v1/sandboxes/A/commands/{COMMAND}/stderr", "path.sandboxId"),
        (f"{COMMANDS}/{COMMAND}/status?waitSeconds=26", "query.waitSeconds"),
        (f"{COMMANDS}/{COMMAND}/status?waitSeconds=-1", "query.waitSeconds"),
        (f"{COMMANDS}/{COMMAND}/status?waitSeconds=soon", "query.waitSeconds"),
        (FILES, "query.path"),
        (f"{FILES}?path=", "query.path"),
        (f"{FILES}?path=a&container=A", "query.container"),
        (f"{FILES}?path=a&contaner=b", "query.contaner"),
        (f"{FILES}?path=a&container={'a' * 64}", "query.container"),
        ("/v1/sandboxes/-/filesystem?path=a", "path.id"),
        (f"{FILES}/entries", "query.path"),
        (f"{FILES}/entries?path=a&limit=0", "query.limit"),
        (f"{FILES}/entries?path=a&limit=1001", "query.limit"),
        (f"{FILES}/stat?path=", "query.path"),
    ],
)
async def test_a_parameter_that_breaks_a_rule_is_422(
    client: Client, gateway: World, path: str, location: str
) -> None:
    await gateway.runs("box")
    response = await client.get(path)
    assert response.status_code == 422
    assert [e["location"] for e in (await response.json)["errors"]] == [location]


@pytest.mark.parametrize("seconds", [0, 25])
async def test_a_wait_is_passed_on_and_outlasted(
    client: Client, gateway: World, seconds: int
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, {"exitCode": None})
    await client.get(f"{COMMANDS}/{COMMAND}/status?waitSeconds={seconds}")
    [received] = gateway.sidecars.received
    assert received.call.query == {"waitSeconds": str(seconds)}
    assert received.call.silence_seconds is not None
    assert received.call.silence_seconds > seconds


async def test_a_path_arrives_as_it_was_meant(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    await client.get(f"{FILES}?path=%2Fa+b%2Bc%2F%C3%A9&container=web")
    [received] = gateway.sidecars.received
    assert received.call.query == {"path": "/a b+c/é", "container": "web"}


@pytest.mark.parametrize(
    ("method", "path", "location"),
    [
        ("DELETE", FILES, "query.path"),
        ("DELETE", f"{FILES}?path=a&recursive=1", "query.recursive"),
        ("POST", f"{FILES}/directories", "query.path"),
        ("POST", f"{FILES}/move?to=b", "query.from"),
        ("POST", f"{FILES}/move?from=a&to=", "query.to"),
        ("POST", f"{FILES}/move?from=a&to=b&overwrite=yes", "query.overwrite"),
    ],
)
async def test_a_change_that_breaks_a_rule_is_422(
    client: Client, gateway: World, method: str, path: str, location: str
) -> None:
    await gateway.runs("box")
    response = await client.open(path, method=method)
    assert response.status_code == 422
    assert [e["location"] for e in (await response.json)["errors"]] == [location]
    assert not gateway.sidecars.received


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{FILES}/entries?path=a&container=c&limit=5&cursor=eA=="),
        ("DELETE", f"{FILES}?path=a&container=c&recursive=true"),
        ("POST", f"{FILES}/move?from=a&to=b&container=c&overwrite=false"),
    ],
)
async def test_all_that_was_asked_of_files_is_passed_on(
    client: Client, gateway: World, method: str, path: str
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, {"entries": []})
    await client.open(path, method=method)
    passed = gateway.sidecars.received[0].call.query
    assert passed == dict(parse_qsl(path.partition("?")[2]))


async def test_a_directory_that_is_there_already_is_nothing_to_be_told(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(204)
    response = await client.post(f"{FILES}/directories?path=a")
    assert (response.status_code, await response.get_data()) == (204, b"")


async def test_where_something_is_to_be_told_nothing_is_502(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(204)
    assert (await client.get(f"{FILES}/stat?path=a")).status_code == 502


@pytest.mark.parametrize("wrong", [{"size": -1}, {"size": "3"}, {"type": "door"}, {"path": None}])
async def test_an_entry_that_is_none_is_502(
    client: Client, gateway: World, wrong: dict[str, Any]
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, ENTRY | wrong)
    assert (await client.get(f"{FILES}/stat?path=a")).status_code == 502


async def test_a_path_that_is_no_text_arrives_as_its_bytes(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    await client.get(f"{FILES}?path=%FF%2520")
    [received] = gateway.sidecars.received
    assert os.fsencode(received.call.query["path"]) == b"\xff%20"


async def test_what_is_no_text_where_text_must_be_is_422(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    response = await client.get(f"{FILES}?path=a&container=%FF")
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == "query.container"


async def test_of_a_parameter_that_comes_twice_the_first_one_holds(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    await client.get(f"{FILES}?path=a&path=b")
    assert gateway.sidecars.received[0].call.query["path"] == "a"


# --- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_events_are_passed_on_byte_for_byte_with_their_headers(
    client: Client, gateway: World, stream: str
) -> None:
    await gateway.runs("box")
    parts = (b"data: a\nid: 1\n\n", b": keepalive\n\n", b"data: \r\xff", b"\nid: 9\n\n")
    gateway.sidecars.says(200, parts=parts, headers={"Content-Type": "text/html"})
    path = f"{COMMANDS}/{COMMAND}/{stream}"
    response = await client.get(path, headers={"Last-Event-ID": "17"})
    assert await response.get_data() == b"".join(parts)
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache, private"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert gateway.sidecars.received[0].call.headers["Last-Event-ID"] == "17"


async def test_each_part_is_passed_on_when_it_comes(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.answer = Scripted(200, (b": keepalive\n\n",), hangs=True)
    async with client.request(f"{COMMANDS}/{COMMAND}/stdout") as connection:
        await connection.send_complete()
        async with asyncio.timeout(1):
            assert await connection.receive() == b": keepalive\n\n"
        assert gateway.sidecars.open_answers == 1
        await connection.disconnect()
    assert gateway.sidecars.open_answers == 0


async def test_output_comes_as_its_very_bytes_to_who_asks_for_them(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, parts=(b"\r\x00\xff",))
    accept = {"Accept": "application/octet-stream", "Last-Event-ID": "3"}
    response = await client.get(f"{COMMANDS}/{COMMAND}/stdout", headers=accept)
    assert await response.get_data() == b"\r\x00\xff"
    assert response.headers["Content-Type"] == "application/octet-stream"
    passed = gateway.sidecars.received[0].call
    assert passed.headers["Accept"] == "application/octet-stream"
    assert passed.headers["Last-Event-ID"] == "3"
    assert passed.silence_seconds is None


async def test_a_signal_can_be_chosen(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(204)
    response = await client.delete(f"{COMMANDS}/{COMMAND}?signal=TERM")
    assert response.status_code == 204
    assert gateway.sidecars.received[0].call.query == {"signal": "TERM"}


async def test_commands_are_listed_as_the_sidecar_tells(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    told = {
        "commands": [
            {"id": COMMAND, "container": "main", "args": ["a"], "exitCode": 0, "cause": "Exited"}
        ]
        * 1000
    }
    gateway.sidecars.says(200, told)
    assert await (await client.get(COMMANDS)).json == told


async def test_a_download_has_its_own_headers(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(200, parts=(b"\x00\xff" * 10,), headers={"Set-Cookie": "a=b"})
    response = await client.get(f"{FILES}?path=a")
    assert await response.get_data() == b"\x00\xff" * 10
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Cache-Control"] == "no-cache, private"
    assert "Set-Cookie" not in response.headers


async def test_an_upload_keeps_its_length(client: Client, gateway: World) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(204)
    await sent(client, ROUTES[-1], **{"Content-Length": "7"})
    headers = gateway.sidecars.received[0].call.headers
    assert headers["Content-Length"] == "7"
    assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("route", [ROUTES[4], ROUTES[-1]], ids=str)
async def test_an_empty_upload_is_an_upload(client: Client, gateway: World, route: Route) -> None:
    await gateway.runs("box")
    gateway.sidecars.says(204)
    response = await client.open(route.path, method="POST")
    assert response.status_code == 204
    assert gateway.sidecars.received[0].body == b""


async def test_an_upload_that_stands_still_is_408(
    client: Client, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.binding.CHUNK_SECONDS", 0.05)
    await gateway.runs("box")
    async with client.request(f"{FILES}?path=a", method="POST") as connection:
        await connection.send(b"begun")
        await asyncio.sleep(0.2)
        await connection.send_complete()
    assert (await connection.as_response()).status_code == 408


async def test_a_sidecar_that_takes_nothing_of_an_upload_is_502(
    client: Client, gateway: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isola_gateway.proxy.UPLOAD_STALL_SECONDS", 0.05)
    monkeypatch.setattr("isola_gateway.proxy.UPLOAD_END_SECONDS", 0.05)
    await gateway.runs("box")
    gateway.sidecars.answer = Scripted(204)
    original = gateway.sidecars.open

    def stalling(sidecar: Sidecar, call: Any) -> Any:
        gateway.sidecars.received.append(call)
        return original(sidecar, call) if not call.body else _Stall()

    monkeypatch.setattr(gateway.sidecars, "open", stalling)
    assert (await sent(client, ROUTES[-1])).status_code == 502


class _Stall:
    async def __aenter__(self) -> None:
        await asyncio.Event().wait()

    async def __aexit__(self, *_: object) -> None:
        return
