"""What clients send, checked: an `Order`, an id, an offset, a time; or a problem that says where.

By hand, without a validation library, for the time that importing one takes at start.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import signal
from typing import TYPE_CHECKING, Any, Final, cast

from . import limits
from .command import Order
from .problems import ProblemError, Violation, invalid, refused
from .terminal import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_COMMAND_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CONTAINER: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_FIELDS: Final = ("args", "env", "cwd", "timeoutSeconds", "terminal", "$schema")
_SIZE: Final = ("rows", "columns")
_SIZE_MESSAGE: Final = f"must be rows and columns, each 1 to {limits.TERMINAL_LINES}"
_INT64_MAX: Final = (1 << 63) - 1


def command_id(text: str) -> str:
    """Return a well-formed command id.

    Raises:
        ProblemError: 422.
    """
    if not _COMMAND_ID.fullmatch(text):
        raise invalid("path.commandId", "must be a lower-case UUID, as the start returned it", text)
    return text


def container(query: Mapping[str, str]) -> str | None:
    """Return `?container=`, None when it is not given.

    Raises:
        ProblemError: 422.
    """
    name = query.get("container")
    if name is not None and not _CONTAINER.fullmatch(name):
        raise invalid("query.container", "must be a container name (a DNS label)", name)
    return name


def wait_seconds(query: Mapping[str, str]) -> int:
    """Return `?waitSeconds=`, 0 when it is not given.

    Raises:
        ProblemError: 422.
    """
    text = query.get("waitSeconds", "0")
    if not _NUMBER.fullmatch(text) or int(text) > limits.WAIT_SECONDS:
        raise invalid("query.waitSeconds", f"must be 0 to {limits.WAIT_SECONDS}", text)
    return int(text)


def path(query: Mapping[str, str], name: str = "path") -> str:
    """Return `?path=`, or another query that is a path.

    Raises:
        ProblemError: 422.
    """
    text = query.get(name, "")
    if not text or "\0" in text:
        raise invalid(f"query.{name}", "is required, without a zero byte", text)
    return text


def page_limit(query: Mapping[str, str]) -> int:
    """Return `?limit=`, as many entries as there can be when it is not given.

    Raises:
        ProblemError: 422.
    """
    text = query.get("limit", str(limits.ENTRIES))
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= limits.ENTRIES:
        raise invalid("query.limit", f"must be 1 to {limits.ENTRIES}", text)
    return int(text)


def cursor(query: Mapping[str, str]) -> bytes:
    """Return the name that `?cursor=` stands for, the empty one when it is not given.

    Raises:
        ProblemError: 422.
    """
    text = query.get("cursor", "")
    try:
        return base64.b64decode(text.encode(errors="replace"), altchars=b"-_", validate=True)
    except binascii.Error:
        raise invalid("query.cursor", "must be `nextCursor` of the page before", text) from None


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return a query's `true` or `false`, False when it is not given.

    Raises:
        ProblemError: 422.
    """
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise invalid(f"query.{name}", "must be true or false", text)
    return text == "true"


def kill_signal(query: Mapping[str, str]) -> int:
    """Return the number of `?signal=` (`TERM`, `SIGTERM` or `15`), KILL when it is not given.

    Raises:
        ProblemError: 422.
    """
    text = query.get("signal", "SIGKILL").upper()
    for each in signal.Signals:
        if text in (each.name, each.name.removeprefix("SIG"), str(each.value)):
            return each.value
    raise invalid("query.signal", "must be a signal's name or number, such as TERM", text)


def last_event_id(headers: Mapping[str, str]) -> int:
    """Return the offset a stream starts from.

    Raises:
        ProblemError: 400.
    """
    text = headers.get("last-event-id", "0").strip()
    if not _NUMBER.fullmatch(text):
        message = f"header Last-Event-ID must be a byte offset, 0 or more, not {text!r}"
        raise ProblemError(
            400, message, violations=(Violation("header.Last-Event-ID", "not an offset", text),)
        )
    return int(text)


def offset(query: Mapping[str, str]) -> int:
    """Return `?offset=`, 0 when it is not given.

    Raises:
        ProblemError: 422.
    """
    text = query.get("offset", "0")
    if not _NUMBER.fullmatch(text):
        raise invalid("query.offset", "must be a byte offset, 0 or more", text)
    return int(text)


def order(document: Any, container_name: str | None) -> Order:
    """Return what a POST of a command asks for.

    Raises:
        ProblemError: 422 with every violation in it.
    """
    if not isinstance(document, dict):
        raise invalid("body", "must be a JSON object", document)
    fields = cast("dict[str, Any]", document)
    if violations := tuple(_violations(fields)):
        raise refused(violations)
    return Order(
        argv=tuple(fields["args"]),
        environment=fields.get("env") or {},
        directory=fields.get("cwd"),
        timeout_seconds=fields.get("timeoutSeconds"),
        container=container_name,
        terminal=size(fields["terminal"]) if fields.get("terminal") is not None else None,
    )


def size(document: Any) -> Size:
    """Return the size that `{"rows": …, "columns": …}` says.

    Raises:
        ProblemError: 422.
    """
    if not _is_size(document):
        raise invalid("body.terminal", _SIZE_MESSAGE, document)
    return Size(int(document["rows"]), int(document["columns"]))


def _violations(document: dict[str, Any]) -> Iterator[Violation]:
    for name, value in document.items():
        if name not in _FIELDS:
            yield Violation(f"body.{name}", "unknown field", value)
    yield from _args(document.get("args"))
    yield from _environment(document.get("env"))
    yield from _optional(document, "cwd", _is_path, "must be a path")
    yield from _optional(
        document, "timeoutSeconds", _is_timeout, "must be a whole number, 1 or more"
    )
    yield from _optional(document, "terminal", _is_size, _SIZE_MESSAGE)
    yield from _optional(document, "$schema", lambda value: isinstance(value, str), "must be a URL")


def _optional(
    document: dict[str, Any], name: str, accepts: Callable[[Any], bool], message: str
) -> Iterator[Violation]:
    value = document.get(name)
    if value is not None and not accepts(value):
        yield Violation(f"body.{name}", message, value)


def _args(value: Any) -> Iterator[Violation]:
    if not isinstance(value, list) or not value:
        yield Violation("body.args", "must be a list of the program and its arguments", value)
        return
    for index, word in enumerate(cast("list[Any]", value)):
        if not _is_word(word):
            yield Violation(f"body.args[{index}]", "must be a string without a zero byte", word)
    if cast("list[Any]", value)[0] == "":
        yield Violation("body.args[0]", "must name a program", "")


def _environment(value: Any) -> Iterator[Violation]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield Violation("body.env", "must be an object of strings", value)
        return
    for name, text in cast("dict[str, Any]", value).items():
        if not name or "=" in name or not _is_word(name):
            yield Violation("body.env", "a name must be neither empty nor hold `=` or zero", name)
        elif not _is_word(text):
            yield Violation(f"body.env.{name}", "must be a string without a zero byte", text)


def _is_word(value: Any) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def _is_path(value: Any) -> bool:
    return _is_word(value) and value != ""


def _is_timeout(value: Any) -> bool:
    return _is_whole(value) and 1 <= value <= _INT64_MAX


def _is_whole(value: Any) -> bool:
    # To JSON 30.0 is 30; some clients' languages know no other way to write it.
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    if not isinstance(value, dict) or set(cast("dict[Any, Any]", value)) != set(_SIZE):
        return False
    lines = cast("dict[str, Any]", value).values()
    return all(_is_whole(each) and 1 <= each <= limits.TERMINAL_LINES for each in lines)
