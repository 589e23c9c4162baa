"""`/docs`, `/openapi.json` and `/openapi.yaml`: this API, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from importlib.resources import files

import yaml
from quart import Blueprint, Response, request

from isola_gateway.openapi import document
from isola_gateway.operation import JSON
from isola_gateway.reference import page

_HEADERS = {
    # It needs no more than its style.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # It changes with the release, and the browser asks whether it has.
    "Cache-Control": "no-cache",
}


def blueprint() -> Blueprint:
    """Return the routes; everything is made here, once."""
    described = document()
    style = files("isola_gateway").joinpath("docs", "docs.css").read_text()
    contents = {
        "/docs": (page(described), "text/html; charset=utf-8"),
        "/docs/docs.css": (style, "text/css; charset=utf-8"),
        "/openapi.json": (json.dumps(described), JSON),
        "/openapi.yaml": (yaml.safe_dump(described, sort_keys=False), "application/yaml"),
    }
    routes = Blueprint("docs", __name__)
    for path, (text, media_type) in contents.items():
        routes.add_url_rule(path, path.strip("/").replace(".", "-"), _text(text, media_type))
    return routes


def _text(text: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    content = text.encode()
    tag = sha256(content).hexdigest()[:32]

    async def answer() -> Response:
        response = Response(content, content_type=media_type, headers=_HEADERS)
        response.set_etag(tag)
        await response.make_conditional(request)
        return response

    return answer
