"""Probes, version, counts, request ids, and requests that fit no route."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.fakes import Client, World
from isola_lifecycle.errors import TransientError
from isola_rest.problem import ProblemError


@pytest.mark.parametrize("path", ["/health", "/healthz", "/ready", "/readyz"])
async def test_a_gateway_that_is_well_says_ok(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    assert await response.json == {"status": "ok"}


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
async def test_it_is_not_ready_before_the_copy_is_complete(
    client: Client, gateway: World, path: str
) -> None:
    gateway.view.synced = False
    assert (await client.get(path)).status_code == 503
    assert (await client.get("/healthz")).status_code == 200


async def test_it_is_not_ready_while_kubernetes_does_not_answer(
    client: Client, gateway: World
) -> None:
    gateway.store.failures = [TransientError("no answer")]
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert (await client.get("/readyz")).status_code == 200


async def test_version_has_the_contracts_fields(client: Client) -> None:
    version = await (await client.get("/version")).json
    assert set(version) >= {"gitVersion", "goVersion", "platform"}
    assert version["gitVersion"].startswith("v")


async def test_requests_are_counted_by_route_never_by_what_was_sent(
    client: Client, gateway: World
) -> None:
    await gateway.runs("box")
    await client.get("/v1/sandboxes/box")
    await client.get("/v1/sandboxes/other")
    await client.get("/nowhere/secret")
    await client.open("/v1/sandboxes", method="BREW")
    text = await (await client.get("/metrics")).get_data(as_text=True)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {
        tuple(sample.labels[name] for name in ("method", "path", "code")): sample.value
        for sample in families["isola_apigateway_http_requests"].samples
        if sample.name.endswith("_total")
    }
    assert counted == {
        ("GET", "/v1/sandboxes/{id}", "200"): 1,
        ("GET", "/v1/sandboxes/{id}", "404"): 1,
        ("GET", "unknown", "404"): 1,
        ("other", "unknown", "405"): 1,
    }
    bounds = {
        sample.labels["le"]
        for sample in families["isola_apigateway_http_request_duration_seconds"].samples
        if "le" in sample.labels
    }
    assert {"0.005", "10.0", "15.0", "30.0", "60.0", "+Inf"} <= bounds
    [in_flight] = families["isola_apigateway_http_requests_in_flight"].samples
    assert in_flight.value == 1  # the request for the counts itself


async def test_two_gateways_count_apart(gateway: World) -> None:
    await gateway.app().test_client().get("/health")
    assert gateway.app().test_client() is not None


@pytest.mark.parametrize(
    "given", ["a", "A-b_c.9", "x" * 64], ids=["short", "all kinds", "the longest"]
)
async def test_a_well_formed_request_id_is_kept(client: Client, given: str) -> None:
    response = await client.get("/health", headers={"X-Request-Id": given})
    assert response.headers.getlist("X-Request-Id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "é", "a/b", 'a"b'])
async def test_any_other_request_id_is_replaced(client: Client, given: str) -> None:
    response = await client.get("/v1/nothing", headers={"X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-Id"])


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/sandboxes/", "/v1//sandboxes", "/static/x"]
)
async def test_a_path_that_is_almost_right_is_404_and_never_a_redirect(
    client: Client, path: str
) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH"])
async def test_a_method_that_a_route_has_not_is_405_and_says_which_it_has(
    client: Client, method: str
) -> None:
    response = await client.open("/v1/sandboxes", method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, POST"


def test_a_status_without_a_name_is_a_problem_all_the_same() -> None:
    assert ProblemError(499, "left").status == 499
