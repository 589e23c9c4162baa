"""The sidecar's document is written from the gateway's contract, and must be what it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isola_sidecar import limits
from isola_sidecar.routes import ROUTES

DOCUMENT: Any = json.loads(
    (Path(__file__).parents[2] / "api" / "openapi" / "sidecar.json").read_text()
)


def schema(method: str, path: str, name: str) -> Any:
    parameters = DOCUMENT["paths"][path][method]["parameters"]
    return next(p["schema"] for p in parameters if p["name"] == name)


def test_it_documents_every_route_and_every_parameter_of_its_query_and_no_others() -> None:
    documented = {
        (path.removeprefix("/").replace("{commandId}", "*"), method.upper()): {
            p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"
        }
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    }
    routed = {
        (path, method): set(route.query)
        for path, methods in ROUTES.items()
        for method, route in methods.items()
    }
    assert documented == routed


def test_its_limits_are_the_sidecars() -> None:
    status, entries = "/v1/commands/{commandId}/status", "/v1/filesystem/entries"
    assert schema("get", status, "waitSeconds")["maximum"] == limits.WAIT_SECONDS
    assert schema("get", entries, "limit")["maximum"] == limits.ENTRIES
    size = DOCUMENT["components"]["schemas"]["TerminalSize"]["properties"]
    assert {each["maximum"] for each in size.values()} == {limits.TERMINAL_LINES}
