"""An OpenAPI document as a page for people: plain HTML, made once, that needs no script.

Renderers of others (Redoc, Scalar, Swagger UI) were looked at first: a megabyte or more of script
each, and nothing without it. This one knows what our documents use of OpenAPI, and no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

Json = Mapping[str, Any]

_CODE = re.compile(r"`([^`]+)`")
# Of what a value may be, in the order in which it is told.
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "{} characters or more",
    "maxLength": "up to {} characters",
    "minItems": "{} items or more",
    "maxItems": "up to {} items",
    "default": "default {}",
}


def page(document: Json) -> str:
    """Return the page that shows `document`."""
    environment = Environment(
        loader=PackageLoader("isola_gateway", "docs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = environment.filters  # jinja2 types only its own
    filters.update(prose=_prose, kind=_kind, bounds=_bounds, phrase=_phrase)
    return environment.get_template("page.html").render(
        document=document,
        chapters=_chapters(document),
        example=partial(_example, document),
        request=partial(_request, document),
    )


def _chapters(document: Json) -> Mapping[str, list[Json]]:
    """Return the operations by their tag, each with its method and its path."""
    chapters: dict[str, list[Json]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            row = {**operation, "method": method.upper(), "path": path}
            chapters.setdefault(operation["tags"][0], []).append(row)
    return chapters


def _prose(text: str) -> Markup:
    """Return text whose `code` is marked as such."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _phrase(code: str) -> str:
    return HTTPStatus(int(code)).phrase


def _kind(schema: Json) -> Markup:
    """Return what a value is, the names of other schemas as links to them."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if choices := schema.get("anyOf"):
        kinds = [_kind(choice) for choice in choices if choice.get("type") != "null"]
        return Markup(" or ").join(kinds)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        return Markup(" | ").join(Markup("<code>{}</code>").format(value) for value in values)
    match schema.get("type"):
        case "array":
            return Markup("list of {}").format(_kind(schema["items"]))
        case "object" if isinstance(inner := schema.get("additionalProperties"), Mapping):
            return Markup("map of {}").format(_kind(inner))  # pyright: ignore[reportUnknownArgumentType]
        case None:
            return Markup("anything")
        case kind:
            return escape(schema.get("format", kind))


def _bounds(schema: Json) -> Iterator[str]:
    """Yield what limits a value, for people."""
    for choice in schema.get("anyOf", [schema]):
        for keyword, words in _BOUNDS.items():
            value = choice.get(keyword)
            if value is not None and value != 2**63 - 1:
                yield words.format(value)
        if pattern := choice.get("pattern"):
            yield f"matches `{pattern}`"


def _request(document: Json, operation: Json) -> Json | None:
    """Return the schema of an operation's JSON body, or None."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return _resolved(document, body["schema"]) if body else None


def _resolved(document: Json, schema: Json) -> Json:
    reference = schema.get("$ref")
    return document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def _example(document: Json, operation: Json) -> str:
    """Return a request that can be typed: curl, as far as the document has examples."""
    query = "&".join(
        f"{p['name']}={p['schema'].get('examples', ['…'])[0]}"
        for p in operation.get("parameters", ())
        if p["in"] == "query" and p["required"]
    )
    path = re.sub(r"\{(\w+)\}", lambda found: f"${_upper(found[1])}", operation["path"])
    if operation["tags"] == ["Rootfs snapshots"]:
        path = path.replace("$SANDBOX", "$SNAPSHOT")
    words = [f'"$ISOLA_URL{path}{"?" + query if query else ""}"']
    if operation["method"] != "GET":
        words.insert(0, f"-X {operation['method']}")
    if body := _request(document, operation):
        text = json.dumps(body["examples"][0], indent=2)
        words += ["--json '" + text.replace("'", r"'\''") + "'"]
    elif "requestBody" in operation:
        words += ["--data-binary @FILE"]
    return "curl " + " ".join(words)


def _upper(name: str) -> str:
    """Return `sandboxId` as a shell's variable."""
    return {"id": "SANDBOX", "sandboxId": "SANDBOX", "commandId": "COMMAND"}.get(name, name.upper())
