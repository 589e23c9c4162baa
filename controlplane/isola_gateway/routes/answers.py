"""Answers that views give."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from http import HTTPStatus

from pydantic import BaseModel
from quart import Response

from isola_gateway.admission import Admission
from isola_gateway.operation import EVENTS, JSON
from isola_gateway.proxy import STREAM_HEADERS, Relay


def model_answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return `model` as JSON, what is not set left out."""
    return json_answer(model.model_dump_json(by_alias=True, exclude_none=True), status)


def json_answer(content: str | bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return JSON text as it is."""
    return Response(content, status=int(status), content_type=JSON)


def event_stream(events: AsyncIterator[bytes], admission: Admission) -> Response:
    """Return server-sent events of the gateway's own.

    Raises:
        ProblemError: 503, there are too many streams.
    """
    resources = AsyncExitStack()
    resources.enter_context(admission.stream())
    return Response(Relay(events, resources), content_type=EVENTS, headers=STREAM_HEADERS)


def no_content() -> Response:
    """Return that all went well."""
    response = Response(status=int(HTTPStatus.NO_CONTENT))
    del response.headers["Content-Type"]
    return response
