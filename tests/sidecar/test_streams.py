from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isola_sidecar.streams import KEEPALIVE, EventEncoder
from sidecar.pods import decode_events, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Every interesting byte is likely: line ends, starts and parts of sequences, surrogates, overlong.
_ODD = b"\r\n\n\r :\0a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\xa0\x80\xc0\x80\xf4\x90\xff"
output = st.lists(st.sampled_from([_ODD[i : i + 1] for i in range(len(_ODD))])).map(b"".join)
output |= st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace"))


def encode(pieces: Sequence[bytes], offset: int = 0) -> bytes:
    encoder = EventEncoder(offset)
    return b"".join([*map(encoder.feed, pieces), encoder.finish()])


def expected(raw: bytes) -> str:
    """The contract's text, by a decoder that goes byte by byte."""
    text = ""
    while raw:
        for length in (1, 2, 3, 4):
            try:
                text += raw[:length].decode()
            except UnicodeDecodeError:
                continue
            raw = raw[length:]
            break
        else:
            text += "\ufffd"
            raw = raw[1:]
    return re.sub(r"\r\n|\r", "\n", text)


def cut(raw: bytes, at: list[int]) -> list[bytes]:
    marks = sorted({0, len(raw), *(mark % (len(raw) + 1) for mark in at)})
    return [raw[start:end] for start, end in pairwise(marks)]


@given(output, st.lists(st.integers(min_value=0)))
@example(b"\r\n", [1])
@example(b"\xe2\x82", [1])
@example(b"a\r\xe2\x82\xac", [2, 3, 4])
def test_a_reader_gets_the_text_whatever_the_pieces(raw: bytes, at: list[int]) -> None:
    assert text_of(encode(cut(raw, at))) == expected(raw)


@given(output, st.lists(st.integers(min_value=0)))
def test_the_last_id_counts_every_byte(raw: bytes, at: list[int]) -> None:
    events = decode_events(encode(cut(raw, at)))

    assert (events[-1].id if events else 0) == len(raw)


@given(output, st.lists(st.integers(min_value=0)), st.integers(min_value=0))
def test_a_reader_that_resumes_after_any_event_misses_and_repeats_nothing(
    raw: bytes, at: list[int], which: int
) -> None:
    events = decode_events(encode(cut(raw, at)))
    seen = events[: which % (len(events) + 1)]
    offset = seen[-1].id if seen else 0
    rest = text_of(encode([raw[offset:]], offset))

    assert "".join(event.data for event in seen) + rest == expected(raw)


@given(output, st.integers(min_value=0))
def test_a_stream_from_any_offset_ends_at_the_end(raw: bytes, at: int) -> None:
    offset = at % (len(raw) + 1)
    events = decode_events(encode([raw[offset:]], offset))

    assert (events[-1].id if events else offset) == len(raw)


@given(output, st.lists(st.integers(min_value=0)))
def test_no_more_than_three_bytes_are_ever_withheld(raw: bytes, at: list[int]) -> None:
    encoder = EventEncoder(0)
    fed = delivered = 0
    for piece in cut(raw, at):
        fed += len(piece)
        events = decode_events(encoder.feed(piece))
        delivered = events[-1].id if events else delivered
        assert 0 <= fed - delivered <= 3


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(b"a\nb\n", "data: a\ndata: b\ndata: \nid: 4\n\n", id="a final empty line"),
        pytest.param(b"a\r\nb\rc", "data: a\ndata: b\ndata: c\nid: 6\n\n", id="all line ends"),
        pytest.param(b" x", "data:  x\nid: 2\n\n", id="a leading space survives"),
        pytest.param(b"\xe2\x82a", "data: \ufffd\ufffda\nid: 3\n\n", id="one mark per byte"),
        pytest.param(b"", "", id="nothing for nothing"),
    ],
)
def test_the_wire_format_is_the_contracts(raw: bytes, text: str) -> None:
    assert encode([raw]) == text.encode()


def test_what_cannot_be_decided_is_withheld_until_it_can() -> None:
    encoder = EventEncoder(10)

    assert encoder.feed(b"\xe2\x82") == b""
    assert encoder.feed(b"\xac\r") == "data: €\nid: 13\n\n".encode()
    assert encoder.feed(b"\n") == b"data: \ndata: \nid: 15\n\n"
    assert encoder.feed(b"\r") == b""
    assert encoder.finish() == b"data: \ndata: \nid: 16\n\n"


def test_a_keepalive_is_no_event() -> None:
    assert decode_events(KEEPALIVE) == []
