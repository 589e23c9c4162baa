"""The page for people about the API; `test_docs_in_a_browser` looks at it."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
import yaml

from gateway.fakes import Client
from isola_gateway.openapi import GATEWAY, SIDECAR, Api, document
from isola_gateway.reference import page

PAGES = pytest.mark.parametrize("api", [GATEWAY, SIDECAR], ids=["gateway", "sidecar"])


async def test_the_page_and_its_style_are_served_and_may_fetch_nothing_else(client: Client) -> None:
    for path, kind in (("/docs", "text/html"), ("/docs/docs.css", "text/css")):
        response = await client.get(path)
        assert (response.status_code, response.mimetype) == (200, kind)
        again = await client.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304
    policy = (await client.get("/docs")).headers["Content-Security-Policy"]
    allowed = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert allowed.pop("style-src") == "'self'"
    assert set(allowed.values()) == {"'none'"}
    assert "default-src" in allowed


async def test_the_document_in_yaml_is_the_document(client: Client) -> None:
    response = await client.get("/openapi.yaml")
    assert response.mimetype == "application/yaml"
    assert yaml.safe_load(await response.get_data()) == document()


@PAGES
def test_every_operation_and_every_schema_is_on_the_page_and_every_link_leads_there(
    api: Api,
) -> None:
    described, shown = document(api), page(document(api))
    anchors = re.findall(r' id="([^"]+)"', shown)
    assert len(anchors) == len(set(anchors))
    assert {o.id for o in api.operations} <= set(anchors)
    assert {f"schema-{name}" for name in described["components"]["schemas"]} <= set(anchors)
    assert set(re.findall(r'href="#([^"]+)"', shown)) <= set(anchors)
    for operation in api.operations:
        for parameter in operation.parameters:
            assert f"<code>{parameter.name}</code>" in shown


def test_the_page_needs_no_script_and_nothing_from_elsewhere() -> None:
    shown = page(document())
    assert "<script" not in shown
    assert "style=" not in shown
    assert set(re.findall(r'(?:src|href)="(?!#)([^"]*)"', shown)) == {
        "docs/docs.css",
        "openapi.json",
        "openapi.yaml",
    }
    assert "url(" not in files("isola_gateway").joinpath("docs", "docs.css").read_text()


def test_what_a_description_says_is_text_not_markup() -> None:
    described = document()
    described["info"]["description"] = "<b>`<i>`</b>"
    assert "&lt;b&gt;<code>&lt;i&gt;</code>&lt;/b&gt;" in page(described)


def test_every_body_in_json_has_an_example_that_is_valid() -> None:
    bodies = [
        o.body for o in (*GATEWAY.operations, *SIDECAR.operations) if isinstance(o.body, type)
    ]
    assert bodies
    for body in bodies:
        examples = body.model_json_schema()["examples"]
        assert examples
        for example in examples:
            body.model_validate_json(json.dumps(example))
