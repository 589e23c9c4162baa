"""Admission policies as rendered: whose they are, where they bind, and on which Kubernetes."""

import json
from ast import literal_eval

import pytest
import yaml

from chart.rendering import (
    NODE_NAMESPACE,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    Chart,
    Manifest,
    Manifests,
)
from isola_lifecycle.sandbox.ranges import blocked
from isola_operator.manifests.faults import VOLUMES
from isola_operator.manifests.ownership import RESERVED

KINDS = tuple(
    f"{judging}AdmissionPolicy{binding}"
    for judging in ("Validating", "Mutating")
    for binding in ("", "Binding")
)
MUTATING = "MutatingAdmissionPolicy"
GROUP = "admissionregistration.k8s.io"


def policies(manifests: Manifests) -> list[Manifest]:
    return [item for item in manifests.items if item["kind"] in KINDS]


def names(manifests: Manifests) -> set[str]:
    return {item["metadata"]["name"] for item in policies(manifests)}


def test_every_policy_is_bound_to_the_sandbox_namespace_and_no_other(chart: Chart) -> None:
    found = policies(rendered(chart, "v1"))
    bindings = [item for item in found if item["kind"].endswith("Binding")]
    bound = {(item["kind"], item["spec"]["policyName"]) for item in bindings}
    assert len(found) == 2 * len(bindings) == 16
    assert bound == {
        (f"{item['kind']}Binding", item["metadata"]["name"])
        for item in found
        if item not in bindings
    }
    for binding in bindings:
        selector = binding["spec"]["matchResources"]["namespaceSelector"]
        assert selector == {"matchLabels": {"kubernetes.io/metadata.name": SANDBOX_NAMESPACE}}


def test_a_policy_that_cannot_be_asked_refuses(chart: Chart) -> None:
    specs = [
        item["spec"] for item in policies(rendered(chart, "v1")) if "failurePolicy" in item["spec"]
    ]
    assert len(specs) == 8
    assert {spec["failurePolicy"] for spec in specs} == {"Fail"}


def test_two_releases_share_no_policy(chart: Chart) -> None:
    here, there = chart.render(), chart.render(namespace="other-system")
    assert names(here) == {
        f"{RELEASE_NAMESPACE}.isola.{policy}"
        for policy in (
            *("callers", "writers", "templates", "networks"),
            *("pods", "networkpolicies", "hostpaths"),
        )
    }
    assert not names(here) & names(there)
    assert not names(here) & names(chart.render(release="isola-two"))


def test_they_can_be_left_out_and_the_operator_is_told(chart: Chart) -> None:
    manifests = chart.render({"admissionPolicies": {"enabled": False}})
    assert policies(manifests) == []
    assert manifests.environment("isola-operator")["ISOLA_ADMISSION_POLICIES"] == "false"


def test_who_writes_network_policies_can_be_left_to_roles(chart: Chart) -> None:
    found = names(chart.render({"admissionPolicies": {"networkPolicies": False}}))
    assert found == names(chart.render()) - {f"{RELEASE_NAMESPACE}.isola.networkpolicies"}


def test_what_is_reserved_and_allowed_is_what_the_operator_reserves_and_allows(
    chart: Chart,
) -> None:
    told = {
        variable["name"]: variable["expression"]
        for policy in ("templates", "networks")
        for variable in chart.render().named(
            "ValidatingAdmissionPolicy", f"{RELEASE_NAMESPACE}.isola.{policy}"
        )["spec"]["variables"]
    }
    assert told["reserved"] == f"'^({RESERVED.pattern})'"
    assert set(literal_eval(told["allowedVolumes"])) == VOLUMES
    assert [each["range"] for each in json.loads(told["blocked"])] == [
        str(block.range) for block in blocked().blocks
    ]


def test_the_operator_that_may_write_is_the_one_that_is_installed(chart: Chart) -> None:
    values = {"operator": {"serviceAccount": {"create": False, "name": "given"}}}
    for name in ("pods", "networkpolicies"):
        policy = chart.render(values).named(
            "ValidatingAdmissionPolicy", f"{RELEASE_NAMESPACE}.isola.{name}"
        )
        (condition, *_) = policy["spec"]["matchConditions"]
        account = f"'system:serviceaccount:{RELEASE_NAMESPACE}:given'"
        assert condition["expression"].endswith(f"request.userInfo.username != {account}")


def test_the_writers_are_the_accounts_that_may_write(chart: Chart) -> None:
    own = {
        "operator": {"serviceAccount": {"create": False, "name": "given"}},
        "apiGateway": {"enabled": False},
    }
    bucket = {"enabled": True, "storage": {"type": "gcs", "gcs": {"bucket": "b"}}}
    system, nodes = (
        f"system:serviceaccount:{namespace}:" for namespace in (RELEASE_NAMESPACE, NODE_NAMESPACE)
    )
    usual = {f"{system}isola-operator": "operator", f"{system}isola-api-gateway": "gateway"}
    for values, accounts in (
        ({}, usual),
        (own, {f"{system}given": "operator"}),
        (
            {"operator": {"sandboxRuntime": {"rootfssnapshot": bucket}}},
            usual
            | {f"{nodes}isola-snapshot-uploader": "uploader"}
            | {f"{nodes}isola-snapshot-mounter": "mounter"},
        ),
    ):
        policy = chart.render(values).named(
            "ValidatingAdmissionPolicy", f"{RELEASE_NAMESPACE}.isola.writers"
        )
        (writers,) = (v for v in policy["spec"]["variables"] if v["name"] == "writers")
        assert json.loads(writers["expression"]) == accounts


@pytest.mark.parametrize(
    ("served", "version"),
    [
        pytest.param(("v1", "v1beta1"), "v1", id="1.36 and later"),
        pytest.param(("v1beta1",), "v1beta1", id="1.34 and 1.35, where it was switched on"),
        pytest.param((), "", id="older: nothing but validation"),
    ],
)
def test_the_mutating_policy_is_of_the_version_that_the_cluster_serves(
    chart: Chart, served: tuple[str, ...], version: str
) -> None:
    found = {
        item["apiVersion"]
        for item in policies(rendered(chart, *served))
        if item["kind"].startswith(MUTATING)
    }
    assert found == ({f"{GROUP}/{version}"} if version else set())


def rendered(chart: Chart, *served: str) -> Manifests:
    """Return the manifests for a cluster that serves mutating policies in these versions."""
    apis = (f"--api-versions={GROUP}/{version}/{MUTATING}" for version in served)
    text = chart.run("template", "isola", ".", "--namespace", RELEASE_NAMESPACE, *apis)
    return Manifests(tuple(item for item in yaml.safe_load_all(text) if item))
