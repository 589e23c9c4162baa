"""Answers that views give."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel
from quart import Response

from isola_gateway.operation import JSON


def model_answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return `model` as JSON, what is not set left out."""
    return json_answer(model.model_dump_json(by_alias=True, exclude_none=True), status)


def json_answer(content: str | bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return JSON text as it is."""
    return Response(content, status=int(status), content_type=JSON)


def no_content() -> Response:
    """Return that all went well."""
    response = Response(status=int(HTTPStatus.NO_CONTENT))
    del response.headers["Content-Type"]
    return response
