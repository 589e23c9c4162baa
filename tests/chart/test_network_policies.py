"""The sandbox namespace: closed, but for the gateways of this release at the sidecar's port."""

from chart.rendering import RELEASE_NAMESPACE, SANDBOX_NAMESPACE, Chart, Manifest, selects

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


def test_there_is_no_other_way(chart: Chart) -> None:
    assert {item["metadata"]["name"] for item in chart.render().of("NetworkPolicy")} == {
        "isola-sandbox-default-deny",
        "isola-allow-api-gateway-ingress",
    }


def test_without_the_gateway_nobody_comes_in(chart: Chart) -> None:
    (policy,) = chart.render({"apiGateway": {"enabled": False}}).of("NetworkPolicy")
    assert policy["metadata"]["name"] == "isola-sandbox-default-deny"


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
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    sandboxes, gateways, anybody = policy["spec"]["ingress"]
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
    assert [p["port"] for p in anybody["ports"]] == [10040, 10041]


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
