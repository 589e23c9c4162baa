"""What of a request is passed on to a sidecar: little, and by name."""

from __future__ import annotations

from isola_gateway import idempotency
from isola_gateway.binding import Given
from isola_gateway.connection import REQUEST_ID_HEADER, TRACEPARENT_HEADER


def query(given: Given, *names: str) -> dict[str, str]:
    """Return those of the named parameters that were given."""
    return {name: given[name] for name in names if name in given.values}


def headers(given: Given, content_type: str = "", *, sized: bool = False) -> dict[str, str]:
    """Return the headers of a call on behalf of `given`.

    Args:
        given: The request.
        content_type: Of the call's body, or empty for none.
        sized: Whether the call's body is the request's own, and so of the same length.
    """
    passed = {REQUEST_ID_HEADER: given.request.request_id}
    passed |= query(given, idempotency.HEADER)
    if given.request.traceparent:
        passed[TRACEPARENT_HEADER] = given.request.traceparent
    if content_type:
        passed["Content-Type"] = content_type
    length = given.request.content_length
    if sized and length is not None:
        passed["Content-Length"] = str(length)
    return passed
