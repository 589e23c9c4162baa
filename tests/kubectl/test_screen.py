"""What is shown to whom: colours on a terminal, columns, nothing that moves a cursor."""

from __future__ import annotations

import io

import pytest

from isola_kubectl.showing import GREEN, Cell, Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "environment", "coloured"),
    [
        pytest.param(Terminal(), {"TERM": "xterm"}, True, id="a terminal"),
        pytest.param(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param(Terminal(), {"NO_COLOR": ""}, True, id="an empty NO_COLOR says nothing"),
        pytest.param(Terminal(), {"TERM": "dumb"}, False, id="a terminal without colours"),
        pytest.param(io.StringIO(), {"TERM": "xterm"}, False, id="a pipe"),
    ],
)
def test_colours_are_for_terminals(
    out: io.StringIO, environment: dict[str, str], *, coloured: bool
) -> None:
    Screen.of(out, environment).line(Cell("alive", GREEN))
    assert out.getvalue() == ("\x1b[32malive\x1b[0m\n" if coloured else "alive\n")


def test_columns_are_as_wide_as_they_have_to_be_in_colour_or_not() -> None:
    for coloured in (True, False):
        out = io.StringIO()
        rows = [[Cell("a", GREEN), "x"], ["long", "y"]]
        Screen(out, coloured).table(["N", "WORD"], rows)
        plain = out.getvalue().replace("\x1b[32m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert plain.splitlines() == ["N     WORD", "a     x", "long  y"]


def test_what_a_program_wrote_cannot_move_the_cursor() -> None:
    out = io.StringIO()
    Screen(out, coloured=True).line(
        "exited: \x1b[2J\r\n\x9b31mall is well\u202e", Cell("\x07", GREEN)
    )
    shown = out.getvalue().replace("\x1b[32m", "").replace("\x1b[0m", "")
    assert shown.endswith("\n")
    assert shown[:-1].isprintable()
