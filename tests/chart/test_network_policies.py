"""Who may talk to whom: sandboxes are closed, the control plane has what it needs."""

import pytest

from chart.rendering import (
    NODE_NAMESPACE,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    Chart,
    Manifest,
    Manifests,
    Values,
    selects,
)
from isola_operator.manifests.job import JobSettings, removing
from isola_store.port import Snapshot
from support.store import NOW

SANDBOX_LABELS = {
    "app.kubernetes.io/name": "isola-sandbox",
    "app.kubernetes.io/managed-by": "isola-operator",
    "isola.run/sandbox": "true",
}


def spec(chart: Chart, name: str) -> Manifest:
    policy = chart.render().named("NetworkPolicy", name)
    assert policy["metadata"]["namespace"] == SANDBOX_NAMESPACE
    return policy["spec"]


def test_the_deny_holds_for_every_pod_whatever_its_labels(chart: Chart) -> None:
    assert spec(chart, "isola-sandbox-default-deny") == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_sandboxes_are_entered_at_the_sidecar_s_port_alone(chart: Chart) -> None:
    policy = spec(chart, "isola-allow-api-gateway-ingress")
    assert policy["podSelector"] == {"matchLabels": SANDBOX_LABELS}
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 10032}]


def test_sandboxes_are_entered_by_this_release_s_gateways_alone(chart: Chart) -> None:
    (rule,) = spec(chart, "isola-allow-api-gateway-ingress")["ingress"]
    (peer,) = rule["from"]  # one peer: namespace and pod must both match
    assert peer["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": RELEASE_NAMESPACE}
    }
    selector = peer["podSelector"]["matchLabels"]

    manifests = chart.render()
    admitted = [
        item["metadata"]["name"]
        for item in manifests.of("Deployment")
        if selects(selector, item["spec"]["template"]["metadata"]["labels"])
    ]
    assert admitted == ["isola-api-gateway"]
    assert not any(selects(selector, pod["metadata"]["labels"]) for pod in manifests.of("Pod"))

    neighbour = chart.render(release="another").named("Deployment", "another-isola-api-gateway")
    assert not selects(selector, neighbour["spec"]["template"]["metadata"]["labels"])


def policies(manifests: Manifests, namespace: str) -> dict[str, Manifest]:
    """Return the specs of a namespace's policies, by name."""
    return {
        item["metadata"]["name"]: item["spec"]
        for item in manifests.of("NetworkPolicy")
        if item["metadata"]["namespace"] == namespace
    }


def test_there_is_no_other_way(chart: Chart) -> None:
    assert policies(chart.render(), SANDBOX_NAMESPACE).keys() == {
        "isola-sandbox-default-deny",
        "isola-allow-api-gateway-ingress",
    }


def test_without_the_gateway_nobody_comes_in(chart: Chart) -> None:
    without = chart.render({"apiGateway": {"enabled": False}})
    assert policies(without, SANDBOX_NAMESPACE).keys() == {"isola-sandbox-default-deny"}


def test_the_way_out_by_name_is_entered_by_sandboxes_and_asked_by_gateways(chart: Chart) -> None:
    manifests = chart.render({"egress": {"enabled": True, "ports": [443, 5432]}})
    policy = manifests.named("NetworkPolicy", "isola-egress")
    assert policy["metadata"]["namespace"] == RELEASE_NAMESPACE
    selector = policy["spec"]["podSelector"]["matchLabels"]
    chosen = [
        item["metadata"]["name"]
        for item in manifests.of("Deployment")
        if selects(selector, item["spec"]["template"]["metadata"]["labels"])
    ]
    assert chosen == ["isola-egress"]
    sandboxes, gateways, *anybody = policy["spec"]["ingress"]
    (peer,) = sandboxes["from"]
    assert peer == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SANDBOX_NAMESPACE}}
    }
    assert {(p["protocol"], p["port"]) for p in sandboxes["ports"]} == {
        ("UDP", 53),
        ("TCP", 53),
        ("TCP", 443),
        ("TCP", 5432),
    }
    (peer,) = gateways["from"]
    assert peer.keys() == {"podSelector"}
    gateway = manifests.named("Deployment", "isola-api-gateway")["spec"]["template"]["metadata"]
    assert selects(peer["podSelector"]["matchLabels"], gateway["labels"])
    assert [p["port"] for p in gateways["ports"]] == [10042]
    assert [p["port"] for rule in anybody for p in rule["ports"]] == [10040, 10041]


def test_a_door_leads_to_the_operators_and_there_is_none_where_nobody_looks(chart: Chart) -> None:
    manifests = chart.render()
    told = manifests.environment("isola-operator")["ISOLA_LABELS"]
    labels = dict(pair.split("=") for pair in (told or "").split(","))
    chosen = [
        item["metadata"]["name"]
        for item in manifests.of("Deployment")
        if selects(labels, item["spec"]["template"]["metadata"]["labels"])
    ]
    assert chosen == ["isola-operator"]
    without = chart.render({"operator": {"network": {"enforcementSeconds": 0}}})
    assert "ISOLA_DOOR_PORT" not in without.environment("isola-operator")


BUCKET = {"bucket": "b", "region": "r", "accessKeyId": "a", "secretAccessKey": "s"}
S3 = {"type": "s3", "s3": BUCKET}


def snapshots(storage: Values) -> Values:
    return {
        "operator": {"sandboxRuntime": {"rootfssnapshot": {"enabled": True, "storage": storage}}}
    }


EVERYTHING: Values = {
    **snapshots(S3),
    "egress": {"enabled": True},
    "exporter": {"enabled": True, "endpoint": "http://collector.monitoring:4318"},
}
API_SERVER = [443, 6443, 8443, 16443]


def ports(rule: Manifest) -> list[int]:
    return [each["port"] for each in rule["ports"]]


def test_whatever_of_the_release_has_no_rule_is_denied_everything(chart: Chart) -> None:
    manifests = chart.render(EVERYTHING)
    pods = [each for _, each in labelled(manifests)]
    assert len(pods) == 6
    for namespace in (RELEASE_NAMESPACE, NODE_NAMESPACE):
        deny = policies(manifests, namespace)["isola-default-deny"]
        assert deny.keys() == {"podSelector", "policyTypes"}
        assert deny["policyTypes"] == ["Ingress", "Egress"]
        for labels in pods:
            assert selects(deny["podSelector"]["matchLabels"], labels)


def labelled(manifests: Manifests) -> list[tuple[str, Manifest]]:
    """Return namespace and labels of each workload's pods that run without being asked for."""
    workloads = [*manifests.of("Deployment"), *manifests.of("DaemonSet")]
    return [
        (item["metadata"]["namespace"], item["spec"]["template"]["metadata"]["labels"])
        for item in workloads
    ] + [(RELEASE_NAMESPACE, pod["metadata"]["labels"]) for pod in manifests.of("Pod")]


def test_each_component_has_one_policy_of_its_own(chart: Chart) -> None:
    manifests = chart.render(EVERYTHING)
    own = {place: policies(manifests, place) for place in (RELEASE_NAMESPACE, NODE_NAMESPACE)}
    for found in own.values():
        del found["isola-default-deny"]
    pods = labelled(manifests)
    for namespace, labels in pods:
        there = own[namespace].items()
        chosen = [n for n, p in there if selects(p["podSelector"]["matchLabels"], labels)]
        assert chosen == [f"isola-{labels['app.kubernetes.io/component']}"]
    uploader = own[NODE_NAMESPACE]["isola-snapshot-uploader"]  # of Jobs, here and below
    assert sum(map(len, own.values())) == len(pods) + 1
    for policy in (policy for found in own.values() for policy in found.values()):
        assert policy["policyTypes"] == ["Ingress", "Egress"]

    # What the operator makes it makes of this release's settings, and the policy knows it as well.
    told = manifests.environment("isola-operator")
    assert told["ISOLA_NODE_NAMESPACE"] == NODE_NAMESPACE
    ours = JobSettings(sandbox_namespace=told["ISOLA_SANDBOX_NAMESPACE"] or "")
    snapshot = Snapshot(name="s", uid="u", generation=1, resource_version="1", created_at=NOW)
    template = removing(snapshot, 60, ours)["spec"]["template"]
    timed = [
        item["spec"]["jobTemplate"]["spec"]["template"]
        for item in manifests.of("CronJob")
        if item["metadata"]["namespace"] == NODE_NAMESPACE
    ]
    assert len(timed) == 2
    for each in (template, *timed):
        labels = each["metadata"]["labels"]
        assert selects(uploader["podSelector"]["matchLabels"], labels)
        assert "ingress" not in uploader


@pytest.mark.parametrize(
    ("component", "ways_in", "ways_out"),
    [
        pytest.param("operator", [[8080], [8089], [18000]], [API_SERVER], id="operator"),
        pytest.param("api-gateway", [[8080]], [API_SERVER, [10032], [10042]], id="gateway"),
        pytest.param("exporter", [[8080]], [API_SERVER, [53, 53], [4318]], id="exporter"),
        pytest.param("snapshot-mounter", [[8080]], [API_SERVER, [53, 53], [443]], id="mounter"),
        pytest.param(
            "egress",
            [[53, 53, 80, 443], [10042], [10040], [10041]],
            [API_SERVER, [53, 53], [80, 443]],
            id="the way out by name",
        ),
        pytest.param("test", [], [[53, 53], [8080]], id="helm test"),
    ],
)
def test_a_component_has_these_ways_and_no_others(
    chart: Chart, component: str, ways_in: list[list[int]], ways_out: list[list[int]]
) -> None:
    manifests = chart.render(EVERYTHING)
    found = policies(manifests, RELEASE_NAMESPACE) | policies(manifests, NODE_NAMESPACE)
    policy = found[f"isola-{component}"]
    assert [ports(rule) for rule in policy.get("ingress", [])] == ways_in
    assert [ports(rule) for rule in policy["egress"]] == ways_out


def test_the_canary_is_open_to_everybody_so_that_a_sandbox_s_own_policies_close_it(
    chart: Chart,
) -> None:
    policy = policies(chart.render(), RELEASE_NAMESPACE)["isola-operator"]
    (canary,) = (rule for rule in policy["ingress"] if ports(rule) == [8089])
    assert "from" not in canary


@pytest.mark.parametrize(
    ("storage", "ways"),
    [
        pytest.param(S3, [[443]], id="credentials of its own, at the provider"),
        pytest.param(
            {**S3, "s3": {**BUCKET, "endpoint": "http://minio.storage.svc:9000"}},
            [[9000]],
            id="a server of one's own",
        ),
        pytest.param(
            {**S3, "s3": {**BUCKET, "endpoint": "http://minio.storage.svc"}}, [[80]], id="at 80"
        ),
        pytest.param(
            {"type": "gcs", "gcs": {"bucket": "b"}},
            [[443], [80, 988], [443]],
            id="an identity that the node gives",
        ),
    ],
)
def test_uploader_and_mounter_reach_the_bucket_and_who_gives_them_credentials(
    chart: Chart, storage: Values, ways: list[list[int]]
) -> None:
    manifests = chart.render(snapshots(storage))
    for name in ("isola-snapshot-uploader", "isola-snapshot-mounter"):
        rules = policies(manifests, NODE_NAMESPACE)[name]["egress"]
        assert [ports(rule) for rule in rules] == [API_SERVER, [53, 53], *ways]


def test_values_narrow_whom_the_control_plane_talks_to(chart: Chart) -> None:
    scraper = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    caller = {"podSelector": {"matchLabels": {"app": "agent"}}}
    narrow = {
        "apiServerPorts": [6443],
        "apiServerCIDRs": ["192.0.2.1/32"],
        "storagePorts": [9001],
        "storageCIDRs": ["192.0.2.2/32"],
        "collectorPorts": [14318],
        "collectorCIDRs": ["192.0.2.3/32"],
        "gatewayFrom": [caller],
        "metricsFrom": [scraper],
    }
    manifests = chart.render({**EVERYTHING, "networkPolicies": narrow})
    found = policies(manifests, RELEASE_NAMESPACE) | policies(manifests, NODE_NAMESPACE)

    def to(address: str, port: int) -> Manifest:
        peer = {"ipBlock": {"cidr": f"{address}/32"}}
        return {"ports": [{"protocol": "TCP", "port": port}], "to": [peer]}

    assert found["isola-operator"]["egress"] == [to("192.0.2.1", 6443)]
    assert found["isola-snapshot-mounter"]["egress"][-1] == to("192.0.2.2", 9001)
    assert found["isola-exporter"]["egress"][-1] == to("192.0.2.3", 14318)
    (entrance,) = found["isola-api-gateway"]["ingress"]
    first, test = entrance["from"]  # helm test still gets in
    assert first == caller
    assert test["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    scraped = [
        rule["from"]
        for policy in found.values()
        for rule in policy.get("ingress", [])
        if rule.get("from") == [scraper]
    ]
    assert len(scraped) == 4  # the gateway's metrics are at the port of its callers


def test_switched_off_the_control_plane_is_open_and_sandboxes_are_not(chart: Chart) -> None:
    off = chart.render({**EVERYTHING, "networkPolicies": {"enabled": False}})
    assert policies(off, RELEASE_NAMESPACE).keys() == {"isola-egress"}
    assert policies(off, RELEASE_NAMESPACE)["isola-egress"]["policyTypes"] == ["Ingress"]
    assert policies(off, NODE_NAMESPACE) == {}
    assert "isola-sandbox-default-deny" in policies(off, SANDBOX_NAMESPACE)
