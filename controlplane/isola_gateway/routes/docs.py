"""`/docs`, `/openapi.json` and `/openapi.yaml`: this API, for people and for programs."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import yaml
from quart import Blueprint

from isola_gateway.openapi import document
from isola_gateway.operation import JSON
from isola_gateway.reference import page
from isola_gateway.routes.fixed import fixed

# The page needs no more than its style.
_MAY = "style-src 'self'"


@cache
def _contents() -> dict[str, tuple[bytes, str]]:
    """Return what is served, and what it is, by path; it costs a second, so only once."""
    described = document()
    style = files("isola_gateway").joinpath("docs", "docs.css").read_text()
    contents = {
        "/docs": (page(described), "text/html; charset=utf-8"),
        "/docs/docs.css": (style, "text/css; charset=utf-8"),
        "/openapi.json": (json.dumps(described), JSON),
        "/openapi.yaml": (yaml.safe_dump(described, sort_keys=False), "application/yaml"),
    }
    return {path: (text.encode(), media_type) for path, (text, media_type) in contents.items()}


def blueprint() -> Blueprint:
    """Return the routes."""
    routes = Blueprint("docs", __name__)
    for path, (content, media_type) in _contents().items():
        view = fixed(content, media_type, _MAY)
        routes.add_url_rule(path, path.strip("/").replace(".", "-"), view)
    return routes
