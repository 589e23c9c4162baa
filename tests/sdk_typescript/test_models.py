"""The client's models have what the gateway's contract has, under the same names."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sdk_typescript.tools import SDK
from support.toolchain import ROOT

SCHEMAS = json.loads((ROOT / "api/openapi/gateway.json").read_text())["components"]["schemas"]
INTERFACE = re.compile(r"(?ms)^export interface (\w+)(?: extends ([^{]+?))? \{\n(.*?)^\}")
SOURCES = "".join(
    (SDK / "src" / name).read_text() for name in ("models.ts", "histories.ts", "errors.ts")
)
NAMES = {name: name for name, _, _ in INTERFACE.findall(SOURCES) if name in SCHEMAS} | {
    "SandboxData": "SandboxResponse",
    "RootfsSnapshotData": "RootfsSnapshotResponse",
    "ResourceList": "Resources",
}


def test_most_models_have_the_name_of_the_contract() -> None:
    assert len(NAMES) >= 23


def fields(name: str) -> dict[str, bool]:
    """Return the fields of an interface, and whether each is always there."""
    _, base, body = next(found for found in INTERFACE.findall(SOURCES) if found[0] == name)
    inherited: dict[str, bool] = {}
    if base:
        whole, *left_out = re.findall(r"\w+", base.removeprefix("Omit<"))
        inherited = {key: value for key, value in fields(whole).items() if key not in left_out}
    own = re.findall(r"(?m)^  readonly (\w+)(\??):", body)
    return inherited | {field: not optional for field, optional in own}


def optional(schema: dict[str, Any]) -> bool:
    return "null" in {each.get("type") for each in schema.get("anyOf", ())}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_what_the_contract_says(name: str) -> None:
    schema = SCHEMAS[NAMES[name]]
    told = {key for key in schema["properties"] if key != "$schema"}
    found = fields(name)
    assert set(found) == told - {"value"}  # of a violation: what was sent is known
    for field in schema.get("required", ()):
        assert found[field], field
    for field, always in found.items():
        # Null only while a command runs: the field is there all the same.
        assert not (always and optional(schema["properties"][field])) or field == "exitCode", field
