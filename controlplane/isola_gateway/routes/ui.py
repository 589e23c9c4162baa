"""`/ui`: a page for people who would rather look. It is a client of this API like any other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from importlib.resources import files

from quart import Blueprint, Response, request

# All there is to the page. Its paths are relative, so that it also works below a proxy's prefix.
_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "ui.css": ("ui.css", "text/css; charset=utf-8"),
    "ui.js": ("ui.js", "text/javascript; charset=utf-8"),
    "picture.js": ("picture.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}

# What sandboxes and callers say is shown here. Were it ever taken for markup, the browser runs none
# of it, and nothing leaves for anywhere else.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # It changes with the release, and the browser asks whether it has.
    "Cache-Control": "no-cache",
}


def blueprint() -> Blueprint:
    """Return the routes."""
    routes = Blueprint("ui", __name__)
    routes.add_url_rule("/ui", "moved", _moved)
    for path, (name, media_type) in _FILES.items():
        content = files("isola_gateway").joinpath("ui", name).read_bytes()
        endpoint = name.replace(".", "-")
        routes.add_url_rule(f"/ui/{path}", endpoint, _file(content, media_type))
    return routes


async def _moved() -> Response:
    return Response(status=308, headers={"Location": "ui/"})


def _file(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    tag = sha256(content).hexdigest()[:32]

    async def answer() -> Response:
        response = Response(content, content_type=media_type, headers=_HEADERS)
        response.set_etag(tag)
        await response.make_conditional(request)
        return response

    return answer
