"""What the client decides without a network: as the Python client does, and the kernel."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from isola_lifecycle.chain import digest
from isola_sdk.errors import APIConnectionError, APIError, IsolaError, IsolaTimeoutError
from isola_sdk.protocol.events import EventDecoder
from isola_sdk.protocol.output import Position, TextDecoder
from isola_sdk.protocol.retrying import Attempts, Retrying
from sdk_typescript.tools import ENVIRONMENT

RANDOM = Random(8)
TIMES = 500

# Of every kind that UTF-8 tells apart, whole and broken.
ODD = [
    bytes([each]) for each in b"\r\n ab\x00\x7f\x80\xbf\xc0\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff"
] + [text.encode() for text in ("é", "\ufeff", "\u20ac", "\U0001f600", "\r\n")]
LINES = [b"data", b"event", b"id", b":", b": ", b"\n", b"\r", b"\r\n", b"\n\n", b"x", "é€".encode()]
KEYS = [
    "a",
    "B",
    "é",
    "\uffff",
    "\U00010000",
    "\U0001f600",
    "a\n",
    '"',
    "\\",
    "digests",
    "\x00",
    "\x7f",
    "",
]


def pieces(alphabet: list[bytes]) -> list[str]:
    data = b"".join(RANDOM.choices(alphabet, k=RANDOM.randrange(30)))
    edges = sorted({0, len(data), *(RANDOM.randrange(len(data) + 1) for _ in range(4))})
    return [data[a:b].hex() for a, b in pairwise(edges)]


def value(depth: int) -> Any:
    kinds: list[Any] = [
        None,
        True,
        0,
        -7,
        2**53 - 1,
        "".join(RANDOM.choices(KEYS, k=3)),
        "\u2028/<>",
    ]
    if depth:
        kinds += [[value(depth - 1) for _ in range(2)], {key: value(depth - 1) for key in KEYS[:7]}]
    return RANDOM.choice(kinds)


def entry() -> dict[str, Any]:
    keys = RANDOM.sample([*KEYS, "digest", "sequence"], k=6)
    return {key: value(2) for key in keys}


def text(found: list[str]) -> list[str]:
    decoder = TextDecoder()
    return [decoder.feed(bytes.fromhex(piece)) for piece in found] + [decoder.feed(b"", last=True)]


def events(found: list[str]) -> list[list[str]]:
    decoder, told = EventDecoder(), list[list[str]]()
    for piece in found:
        told += [[each.name, each.data] for each in decoder.feed(bytes.fromhex(piece))]
    return told


def pause(retrying: dict[str, int], failures: int, luck: float, asked: int) -> Any:
    own = Retrying(
        attempts=int(retrying["attempts"]),
        first_seconds=retrying["firstMs"] / 1000,
        longest_seconds=retrying["longestMs"] / 1000,
    )
    found = own.pause(failures, luck=luck, asked=asked / 1000)
    return None if found is None else pytest.approx(found * 1000)


def again(failure: str | int, repeatable: bool) -> bool:  # noqa: FBT001 - as it is asked
    raised: IsolaError
    match failure:
        case int():
            raised = APIError(status_code=failure, message="told")
        case "over":
            raised = IsolaTimeoutError(failure)
        case _:
            raised = APIConnectionError(failure, may_have_arrived=failure == "cut")
    try:
        return Attempts(Retrying()).after(raised, now=0, luck=0, repeatable=repeatable) > 0
    except type(raised):
        return False


def over(steps: list[tuple[bool, list[int], bool]]) -> list[list[Any]]:
    position, found = Position(), list[list[Any]]()
    for ended, sizes, whole in steps:
        asked = position.asked(ended=ended)
        for size in sizes:
            position.took(bytes(size))
        if whole:
            position.came_whole()
        found.append([asked, position.gained, position.is_over])
    return found


def steps() -> list[tuple[bool, list[int], bool]]:
    choose = RANDOM.choice
    return [
        (choose([True, False]), choose([[], [3], [1, 2]]), choose([True, False])) for _ in range(4)
    ]


def cases() -> list[tuple[str, Any, Any]]:
    """Questions, what they are asked about, and what is right."""
    found: list[tuple[str, Any, Any]] = []
    for _ in range(TIMES):
        told = pieces(ODD)
        found.append(("text", told, text(told)))
        # At last one decides whether what waits is the end of a line, a piece later than the other.
        told = [*pieces(LINES), b":\n".hex()]
        found.append(("events", told, events(told)))
        made, previous = entry(), RANDOM.choice(["uid", "0" * 64])
        found.append(("digest", [made, previous], digest(made, previous)))
        settings = {
            "attempts": RANDOM.randrange(1, 7),
            "firstMs": RANDOM.randrange(1, 500),
            "longestMs": 900,
        }
        asked = (settings, RANDOM.randrange(1, 8), RANDOM.random(), RANDOM.choice([0, 5000]))
        found.append(("pause", asked, pause(*asked)))
        taken = steps()
        found.append(("over", taken, over(taken)))
    failures = product(("unsent", "cut", "over", *range(300, 600)), (True, False))
    return found + [("again", each, again(*each)) for each in failures]


def test_it_decides_what_the_python_client_does(project: Path) -> None:
    asked = cases()
    done = subprocess.run(
        ["node", "protocol.mjs"],
        cwd=project,
        env=ENVIRONMENT,
        input=json.dumps([each[:2] for each in asked]),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    for (question, argument, right), answer in zip(asked, json.loads(done.stdout), strict=True):
        assert answer == right, (question, argument)
