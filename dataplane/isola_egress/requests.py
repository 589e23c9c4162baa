"""For whom an HTTP request is, and what of it is passed on. Pure.

The server must understand a request as it was understood here: so it is taken apart by h11, which
is strict, and written anew; what could be read in two ways is refused or left out.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import h11

from isola_egress.refusals import Reason, RefusedError
from isola_lifecycle.domains import host_name

_AUTHORITY = re.compile(r"(?P<host>[^:@/?#\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_ABSOLUTE = re.compile(r"(?i:https?)://(?P<authority>[^/?#]*)(?:[/?#].*)?", re.DOTALL)


def addressee(request: h11.Request, port: int) -> str:
    """Return the host name that a request on `port` is for, in the form of `host_name`.

    Raises:
        RefusedError: It is for none, or for an address, or not for this port.
    """
    hosts = [value for name, value in request.headers if name == b"host"]
    if len(hosts) != 1:
        raise _bad("there must be one Host", Reason.NAME_MISSING)
    host = _text(hosts[0])
    if request.method == b"CONNECT":
        raise _bad("this is no proxy for CONNECT; connect to the name itself", name=host)
    target = _text(request.target)
    if not target.startswith("/") and target != "*":
        absolute = _ABSOLUTE.fullmatch(target)
        if not absolute or absolute["authority"].lower() != host.lower():
            raise _bad("the request's target and its Host differ", name=host)
    parts = _AUTHORITY.fullmatch(host)
    name = host_name(parts["host"]) if parts else None
    if not parts or not name:
        raise _bad("the Host must be a name, not an address", Reason.NAME_MISSING, host)
    if parts["port"] and int(parts["port"]) != port:
        raise _bad("the Host has another port than the connection", name=name)
    return name


def _bad(why: str, reason: Reason = Reason.NOT_UNDERSTOOD, name: str = "") -> RefusedError:
    return RefusedError(why, reason=reason, status=HTTPStatus.BAD_REQUEST, name=name)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")


def forwarded(request: h11.Request) -> h11.Request:
    """Return the request as the server gets it: one framing, and no upgrade but to WebSocket.

    An upgrade to HTTP/2 would carry requests that nobody here sees.
    """
    names = {name for name, _ in request.headers}
    dropped = {b"http2-settings"}
    if b"transfer-encoding" in names:
        dropped.add(b"content-length")
    if [value.lower() for name, value in request.headers if name == b"upgrade"] != [b"websocket"]:
        dropped.add(b"upgrade")
    kept = [
        (raw, value) for raw, value in request.headers.raw_items() if raw.lower() not in dropped
    ]
    return h11.Request(method=request.method, target=request.target, headers=kept)


def returned(
    answer: h11.Response | h11.InformationalResponse,
) -> h11.Response | h11.InformationalResponse:
    """Return an answer as the client gets it, in HTTP/1.1 whatever the server speaks."""
    return type(answer)(
        status_code=answer.status_code,
        reason=answer.reason,
        headers=list(answer.headers.raw_items()),
    )
