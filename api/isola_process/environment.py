"""Settings, read from the environment once, before anything starts. Pure.

Each function takes the environment and the name of a variable, and raises `SettingsError` where
that variable is missing or does not hold what it must.
"""

from __future__ import annotations

from collections.abc import Mapping

# What a checkout calls itself.
UNRELEASED = "v0.0.0-dev"

_LEVELS = {name: name for name in ("debug", "info", "warning", "error")} | {"warn": "warning"}
_FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False, "": False}

LAST_PORT = 65535


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which, and what it should be."""


def required(environment: Mapping[str, str], name: str) -> str:
    """Return what must be set, without spaces around it."""
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set; the chart sets it, see chart/README.md")
    return value


def number(
    environment: Mapping[str, str],
    name: str,
    default: int,
    *,
    least: int = 1,
    most: int = LAST_PORT,
) -> int:
    """Return a whole number within bounds, which are those of ports where nothing else is said."""
    return whole(name, environment.get(name) or str(default), least=least, most=most)


def whole(name: str, text: str, *, least: int = 1, most: int = LAST_PORT) -> int:
    """Return the whole number that a text is, which the variable of that name holds."""
    if not text.isdecimal() or len(text) > len(str(most)) or not least <= int(text) <= most:
        raise SettingsError(
            f"{name} holds {text!r}; it must be a whole number from {least} to {most}"
        )
    return int(text)


def flag(environment: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return whether something is on."""
    text = environment.get(name, str(default))
    if text.lower() not in _FLAGS:
        raise SettingsError(f"{name} is {text!r}; it must be true or false")
    return _FLAGS[text.lower()]


def level(environment: Mapping[str, str]) -> str:
    """Return the lowest level of logs that are written: debug, info, warning or error."""
    text = environment.get("ISOLA_LOG_LEVEL", "info")
    if text.lower() not in _LEVELS:
        raise SettingsError(f"ISOLA_LOG_LEVEL is {text!r}; it must be debug, info, warn or error")
    return _LEVELS[text.lower()]
