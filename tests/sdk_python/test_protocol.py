"""What the client decides without a network."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage

from isola_lifecycle.codec import encode
from isola_sdk.errors import (
    APIConnectionError,
    APIError,
    BadGatewayError,
    ConflictError,
    IsolaTimeoutError,
    NotFoundError,
    RateLimitError,
    TamperedHistoryError,
    ValidationError,
)
from isola_sdk.protocol import commands, sandboxes, websocket
from isola_sdk.protocol.chain import Chain
from isola_sdk.protocol.downloads import ChangedError, PartialFile
from isola_sdk.protocol.events import EventDecoder
from isola_sdk.protocol.messages import Answer, Request
from isola_sdk.protocol.output import Position, TextDecoder
from isola_sdk.protocol.problems import error_of
from isola_sdk.protocol.retrying import Attempts, Retrying
from support.stories import RUNNING, UID, log_of

GET = Request(method="GET", path="/v1/sandboxes")
LOST = APIConnectionError("cut")


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


# When to try again


@given(st.integers(1, 5), st.floats(0, 1))
def test_pauses_double_and_half_of_each_is_luck(failures: int, luck: float) -> None:
    pause = Retrying(first_seconds=1, longest_seconds=4).pause(failures, luck=luck)
    full = min(4, 2 ** (failures - 1))
    assert pause is not None
    assert full / 2 <= pause <= full


def test_less_than_the_server_asks_for_is_never_waited() -> None:
    assert Retrying(first_seconds=1).pause(1, luck=1, asked=42) == 42


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_passes_is_tried_again_as_often_as_was_said(status: int) -> None:
    attempts = Attempts(Retrying(attempts=3))
    failure = error_of(Answer(status=status, headers={}), GET)
    for _ in range(2):
        assert attempts.after(failure, now=0, luck=0) > 0
    with pytest.raises(APIError):
        attempts.after(failure, now=0, luck=0)


@pytest.mark.parametrize("status", [301, 400, 404, 409, 410, 422, 500, 507])
def test_what_is_about_the_request_is_not_tried_again(status: int) -> None:
    with pytest.raises(APIError) as raised:
        Attempts(Retrying()).after(error_of(Answer(status=status, headers={}), GET), now=0, luck=0)
    assert raised.value.status_code == status


def test_progress_forgets_the_failures() -> None:
    attempts = Attempts(Retrying(attempts=2))
    for _ in range(9):
        attempts.after(LOST, now=0, luck=0)
        attempts.progressed()


def test_a_deadline_ends_before_a_pause_that_would_miss_it() -> None:
    attempts = Attempts(Retrying(first_seconds=2), ends_at=10)
    assert attempts.left(4, "GET") == 6
    with pytest.raises(IsolaTimeoutError) as raised:
        attempts.after(LOST, now=9, luck=1)
    assert raised.value.__cause__ is LOST
    with pytest.raises(IsolaTimeoutError):
        attempts.left(10, "GET")


def test_what_may_do_harm_twice_is_only_repeated_if_it_did_not_arrive() -> None:
    with pytest.raises(APIConnectionError):
        Attempts(Retrying()).after(LOST, now=0, luck=0, repeatable=False)
    refused = APIConnectionError("refused", may_have_arrived=False)
    assert Attempts(Retrying()).after(refused, now=0, luck=0, repeatable=False) > 0
    failure = error_of(Answer(status=502, headers={}), GET)
    with pytest.raises(BadGatewayError):
        Attempts(Retrying()).after(failure, now=0, luck=0, repeatable=False)
    assert not commands.signal("/c", "TERM").repeatable
    assert commands.signal("/c", None).repeatable


# What an error says


def test_an_error_says_what_where_and_under_which_id() -> None:
    body = {
        "detail": "no such thing",
        "errors": [{"location": "path.id", "message": "malformed", "value": 1}, "?"],
    }
    headers = {"x-request-id": "r-1", "retry-after": "7"}
    answer = Answer(status=422, headers=headers, content=json.dumps(body).encode())
    error = error_of(answer, GET)
    assert isinstance(error, ValidationError)
    assert str(error) == "422: GET /v1/sandboxes: no such thing [request r-1]"
    assert (error.request_id, error.retry_after) == ("r-1", 7)
    assert [each.location for each in error.violations] == ["path.id"]


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'{"detail": 3}', b"\xff"])
def test_an_answer_without_a_problem_is_named_by_its_status(content: bytes) -> None:
    sent = GET.identified("r-2")
    error = error_of(Answer(status=404, headers={}, content=content), sent)
    assert isinstance(error, NotFoundError)
    assert str(error) == "404: GET /v1/sandboxes: Not Found [request r-2]"


def test_kinds_of_errors_are_those_of_the_published_client_and_more() -> None:
    assert issubclass(APIConnectionError, ConnectionError)
    assert type(error_of(Answer(status=409, headers={}), GET)) is ConflictError
    assert type(error_of(Answer(status=429, headers={}), GET)) is RateLimitError
    assert type(error_of(Answer(status=418, headers={}), GET)) is APIError


# Requests


def test_only_a_post_carries_a_key_and_every_attempt_the_same_one() -> None:
    sent = commands.close_stdin("/c").identified("k")
    assert sent.headers["Idempotency-Key"] == "k" == sent.request_id
    assert "Idempotency-Key" not in GET.identified("k").headers


def test_ids_and_queries_are_encoded() -> None:
    assert sandboxes.get("a/b c").path == "/v1/sandboxes/a%2Fb%20c"
    request = sandboxes.page(labels={"a": "1", "b": "2"}, status=None, limit=5, cursor=None)
    assert request.target == "/v1/sandboxes?labels=a%3D1%2Cb%3D2&limit=5"


def test_large_input_is_written_in_order_by_several_requests() -> None:
    data = random.Random(1).randbytes(3_000_000)
    sent = list(commands.write_stdin("/c", data))
    assert len(sent) == 3
    assert b"".join(each.content or b"" for each in sent) == data


# Streams


@given(st.binary(max_size=60), CUTS)
def test_text_is_the_same_however_the_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    decoder = TextDecoder()
    text = "".join(decoder.feed(piece) for piece in pieces_of(data, cuts))
    text += decoder.feed(b"", last=True)
    assert text == TextDecoder().feed(data, last=True)


def test_text_has_newlines_and_a_replacement_for_each_byte_that_is_none() -> None:
    assert (
        TextDecoder().feed(b"a\r\nb\rc\xe2\x82\xffd\r", last=True) == "a\nb\nc\ufffd\ufffd\ufffdd\n"
    )


def test_a_stream_is_over_once_nothing_follows_the_end_of_an_ended_command() -> None:
    position = Position()
    assert position.asked(ended=False) == "0"
    position.came_whole()
    assert not position.is_over  # nobody knows
    position.asked(ended=True)
    assert not position.is_over  # it broke off
    position.took(b"abc")
    position.came_whole()
    assert not position.is_over  # it may have been cut
    assert position.asked(ended=True) == "3"
    assert not position.is_over  # it broke off
    position.came_whole()
    assert position.is_over


EVENTS = [("", "a\nb", "7"), ("created", "{}", "8"), ("", "é", "8")]
STREAM = (
    ": x\n\ndata: a\r\ndata: b\nid: 7\n\nevent: created\rid: 8\rdata:{}\r\r\ndata: é\n\n".encode()
)


@given(CUTS)
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    decoder = EventDecoder()
    found = [event for piece in pieces_of(STREAM, cuts) for event in decoder.feed(piece)]
    assert [(event.name, event.data, event.id) for event in found] == EVENTS


def test_an_event_that_is_cut_off_is_none() -> None:
    assert not list(EventDecoder().feed(b"data: a\n"))


def part(first: int, size: int, tag: str = '"t"', status: int = 206) -> Answer:
    headers = {"etag": tag, "content-range": f"bytes {first}-{size - 1}/{size}"}
    return Answer(status=status, headers=headers)


def test_a_download_goes_on_at_the_byte_where_it_was_cut() -> None:
    download = PartialFile()
    assert download.headers() == {"Range": "bytes=0-"}
    download.begins(part(0, 10))
    download.took(b"abcd")
    assert not download.is_whole
    assert download.headers() == {"Range": "bytes=4-", "If-Range": '"t"'}
    download.begins(part(4, 10))
    download.took(b"efghij")
    assert download.is_whole


@pytest.mark.parametrize("answer", [part(4, 10, '"other"'), part(0, 10, status=200)])
def test_a_download_of_a_file_that_changed_does_not_go_on(answer: Answer) -> None:
    download = PartialFile()
    download.begins(part(0, 10))
    download.took(b"abcd")
    with pytest.raises(ChangedError):
        download.begins(answer)


def test_nothing_follows_an_empty_file() -> None:
    beyond = Answer(status=416, headers={"content-range": "bytes */0"})
    assert PartialFile().is_past_end(beyond)
    assert not PartialFile(offset=3).is_past_end(beyond)


# Histories


def follow_all(entries: list[dict[str, Any]]) -> None:
    chain = Chain(UID)
    for entry in entries:
        chain.follow(entry)


def test_a_log_of_ours_verifies_and_whatever_is_changed_shows() -> None:
    entries = [encode(entry) for entry in log_of(RUNNING)]
    follow_all(entries)
    for number, entry in enumerate(entries):
        for changed in (
            [*entries[:number], {**entry, "message": "?"}, *entries[number + 1 :]],
            [*entries[:number], *entries[number + 1 :], entry],
        ):
            if changed == entries:
                continue
            with pytest.raises(TamperedHistoryError) as raised:
                follow_all(changed)
            assert raised.value.sequence == number + 1
    with pytest.raises(TamperedHistoryError):
        Chain("another").follow(entries[0])


# WebSockets


def from_server(opcode: int, content: bytes, *, last: bool = True) -> bytes:
    size = len(content)
    head = bytes([(0x80 if last else 0) | opcode])
    if size < 126:
        return head + bytes([size]) + content
    return head + bytes([126]) + size.to_bytes(2, "big") + content


MESSAGES = (
    from_server(websocket.BINARY, b"ab", last=False)
    + from_server(websocket.PING, b"!")
    + from_server(websocket.CONTINUATION, b"c" * 300)
    + from_server(websocket.TEXT, b'{"exitCode": 0}')
    + from_server(websocket.CLOSE, b"\x03\xe9later")
)


@given(CUTS)
def test_messages_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    decoder = websocket.MessageDecoder()
    found = [message for piece in pieces_of(MESSAGES, cuts) for message in decoder.feed(piece)]
    ping, output, text, close = found
    assert (ping.opcode, output.content) == (websocket.PING, b"ab" + b"c" * 300)
    assert text.told() == {"exitCode": 0}
    assert (close.close_code, close.close_reason) == (websocket.GOING_AWAY, "later")


@given(
    st.binary(max_size=200) | st.binary(min_size=65_530, max_size=65_540),
    st.binary(min_size=4, max_size=4),
)
def test_wsproto_reads_what_is_sent(content: bytes, mask: bytes) -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(websocket.frame(websocket.BINARY, content, mask))
    events = [event for event in server.events() if isinstance(event, BytesMessage)]
    assert b"".join(bytes(event.data) for event in events) == content


@pytest.mark.parametrize(
    "piece", [b"\x82\x80", b"\xc2\x00", b"\x80\x00", b"\x82\x7f" + b"\xff" * 8]
)
def test_what_is_no_servers_frame_is_refused(piece: bytes) -> None:
    with pytest.raises(websocket.BrokenError):
        list(websocket.MessageDecoder().feed(piece))


def test_the_handshake_is_the_one_of_the_rfc() -> None:
    nonce = b"the sample nonce"
    assert websocket.handshake(nonce)["Sec-WebSocket-Key"] == "dGhlIHNhbXBsZSBub25jZQ=="
    assert websocket.accept_of(nonce) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
