"""Where the control plane's pods land, and before whom."""

from typing import Any

import pytest

from chart.rendering import Chart, Manifest, Manifests, Values, selects

STORAGE = {"type": "gcs", "gcs": {"bucket": "b"}}
SEVERAL = {"replicaCount": 3}


def with_all(**rootfs: Any) -> dict[str, Any]:
    snapshots = {"enabled": True, "storage": STORAGE, **rootfs}
    return {
        "operator": {**SEVERAL, "sandboxRuntime": {"rootfssnapshot": snapshots}},
        "apiGateway": SEVERAL,
        "egress": {"enabled": True},
        "exporter": {"enabled": True, "endpoint": "http://collector:4318"},
    }


DEPLOYMENTS = ["isola-operator", "isola-api-gateway", "isola-egress", "isola-exporter"]
SERVING = [*DEPLOYMENTS, "isola-snapshot-mounter"]
JOBS = ["isola-snapshot-expiry", "isola-snapshot-inventory"]


def priorities(manifests: Manifests) -> dict[str, str | None]:
    return {name: spec.get("priorityClassName") for name, spec in manifests.pod_specs().items()}


def test_every_component_comes_before_the_sandboxes(chart: Chart) -> None:
    manifests = chart.render(with_all())
    (made,) = manifests.of("PriorityClass")
    assert made["value"] == 900_000_000  # below what Kubernetes keeps for itself
    assert "globalDefault" not in made
    found = priorities(manifests)
    assert {found[name] for name in SERVING} == {made["metadata"]["name"]}
    assert {found[name] for name in JOBS} == {None}  # what captures a sandbox must not evict it
    assert "ISOLA_PRIORITY_CLASS" not in manifests.environment("isola-operator")


def test_two_releases_do_not_share_their_priority_class(chart: Chart) -> None:
    releases = ({}, {"release": "other"}, {"namespace": "elsewhere"})
    names = {chart.render(**each).of("PriorityClass")[0]["metadata"]["name"] for each in releases}
    assert len(names) == 3


def test_a_priority_class_is_made_on_request_only_and_named_as_asked(chart: Chart) -> None:
    off = chart.render({**with_all(), "priorityClass": {"create": False}})
    assert off.of("PriorityClass") == []
    assert set(priorities(off).values()) == {None}
    named = chart.render({"priorityClass": {"name": "control", "value": 5}})
    (made,) = named.of("PriorityClass")
    assert (made["metadata"]["name"], made["value"]) == ("control", 5)
    assert priorities(named)["isola-operator"] == "control"


@pytest.mark.parametrize("create", [True, False])
def test_a_component_s_own_priority_class_wins(chart: Chart, *, create: bool) -> None:
    values = with_all(
        snapshotMounter={"priorityClassName": "on-nodes"}, uploader={"priorityClassName": "jobs"}
    )
    for component in ("operator", "apiGateway", "egress", "exporter"):
        values[component] = {**values[component], "priorityClassName": f"of-{component.lower()}"}
    manifests = chart.render({**values, "priorityClass": {"create": create}})
    found = priorities(manifests)
    assert [found[name] for name in SERVING] == [
        *("of-operator", "of-apigateway", "of-egress", "of-exporter", "on-nodes")
    ]
    assert {found[name] for name in JOBS} == {"jobs"}
    assert manifests.environment("isola-operator")["ISOLA_SNAPSHOT_PRIORITY_CLASS"] == "jobs"


def spread(manifests: Manifests) -> dict[str, list[Manifest]]:
    specs = manifests.pod_specs()
    return {name: specs[name].get("topologySpreadConstraints", []) for name in DEPLOYMENTS}


def test_several_replicas_are_spread_over_nodes_and_zones_as_far_as_that_goes(
    chart: Chart,
) -> None:
    manifests = chart.render(with_all())
    for name, constraints in spread(manifests).items():
        deployment = manifests.named("Deployment", name)
        if deployment["spec"]["replicas"] == 1:
            assert constraints == []
            continue
        assert [each["topologyKey"] for each in constraints] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ]
        for each in constraints:
            assert each["whenUnsatisfiable"] == "ScheduleAnyway"  # one node is enough
            selector = each["labelSelector"]["matchLabels"]
            chosen = [
                item["metadata"]["name"]
                for item in manifests.of("Deployment")
                if selects(selector, item["spec"]["template"]["metadata"]["labels"])
            ]
            assert chosen == [name]


def test_one_s_own_constraints_replace_these(chart: Chart) -> None:
    own = {
        "maxSkew": 2,
        "topologyKey": "rack",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"a": "b"}},
    }
    values: Values = {"operator": {"replicaCount": 2, "topologySpreadConstraints": [own]}}
    assert chart.render(values).pod_specs()["isola-operator"]["topologySpreadConstraints"] == [own]


def test_a_budget_guards_whatever_has_several_replicas(chart: Chart) -> None:
    manifests = chart.render(with_all())
    guarded = {item["metadata"]["name"] for item in manifests.of("PodDisruptionBudget")}
    several = {
        item["metadata"]["name"]
        for item in manifests.of("Deployment")
        if item["spec"]["replicas"] > 1
    }
    assert guarded == several == set(DEPLOYMENTS) - {"isola-exporter"}
