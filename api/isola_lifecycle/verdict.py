"""What a log comes to, for people: the same for every kind of log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a log comes to, for people.

    Attributes:
        sentence: What happened, or is happening.
        advice: What can be done about it, or empty.
    """

    sentence: str
    advice: str = ""


def stopped(message: str) -> str:
    """Return `message` as the end of a sentence: with a full stop, if it has none."""
    return message if message.endswith((".", "!", "?", "…")) else f"{message}."
