"""`/ui`: a page for people who would rather look. It is a client of this API like any other."""

from __future__ import annotations

from importlib.resources import files

from quart import Blueprint, Response

from isola_gateway.routes.fixed import fixed

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
_MAY = "script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"


def blueprint() -> Blueprint:
    """Return the routes."""
    routes = Blueprint("ui", __name__)
    routes.add_url_rule("/ui", "moved", _moved)
    for path, (name, media_type) in _FILES.items():
        content = files("isola_gateway").joinpath("ui", name).read_bytes()
        endpoint = name.replace(".", "-")
        routes.add_url_rule(f"/ui/{path}", endpoint, fixed(content, media_type, _MAY))
    return routes


async def _moved() -> Response:
    return Response(status=308, headers={"Location": "ui/"})
