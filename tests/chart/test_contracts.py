"""Chart and programs agree: what the chart writes into the environment is what they read there."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

import isola_egress.settings
import isola_exporter.settings
import isola_gateway.settings
import isola_operator.__main__
import isola_operator.settings
from chart.rendering import selects
from isola_gateway.admission import Limits
from isola_lifecycle.naming import EGRESS_CONTROL_PORT, SIDECAR_PORT
from isola_operator.manifests.network import ClusterDns
from isola_operator.manifests.pod import labels
from isola_store.ranges import Configured

if TYPE_CHECKING:
    from chart.rendering import Chart, Manifests

REFERENCES = {
    "ISOLA_NAMESPACE": "isola-system",
    "ISOLA_POD_NAME": "isola-operator-0",
    "ISOLA_POD_IPS": "10.244.0.9",
    "ISOLA_POD_IP": "10.0.0.9",
}


def environment(manifests: Manifests, deployment: str) -> dict[str, str]:
    """Return a Deployment's variables as its pod would see them."""
    return {
        name: REFERENCES[name] if value is None else value
        for name, value in manifests.environment(deployment).items()
    }


def operator(manifests: Manifests) -> isola_operator.settings.Settings:
    return isola_operator.settings.settings_from(environment(manifests, "isola-operator"))


def gateway(manifests: Manifests) -> isola_gateway.settings.Settings:
    return isola_gateway.settings.settings_from(environment(manifests, "isola-api-gateway"))


def test_the_operator_reads_what_was_installed(chart: Chart) -> None:
    values = {
        "operator": {
            "replicaCount": 2,
            "metrics": {"port": 9090},
            "sandboxSidecar": {"image": {"tag": "7", "pullPolicy": "Always"}},
            "sandboxRuntime": {"runtimeClassName": "gvisor-kvm"},
            "sandboxPriorityClassName": "low",
            "nodeLossSeconds": 3000000,
            "network": {
                "discoverRanges": False,
                "podCIDRs": ["11.0.0.0/8", "fd00::/48"],
                "serviceCIDRs": ["12.0.0.0/8"],
                "nodeCIDRs": ["13.0.0.0/8"],
                "blockedCIDRs": ["14.0.0.0/8"],
                "clusterDNS": {"namespace": "dns", "podLabels": {"k8s-app": None, "a": "b"}},
            },
        },
        "records": {"ttlSeconds": 0},
        "sandboxNamespace": {"name": "elsewhere"},
        "global": {"imagePullSecrets": [{"name": "one"}, {"name": "two"}]},
    }
    assert operator(chart.render(values)) == isola_operator.settings.Settings(
        namespace="elsewhere",
        own_namespace="isola-system",
        admission_policies=True,
        identity="isola-operator-0",
        sidecar_image="ghcr.io/isola-run/isola-sandbox-sidecar:7",
        sidecar_pull_policy="Always",
        runtime_class="gvisor-kvm",
        priority_class="low",
        node_loss_seconds=3_000_000,
        record_ttl_seconds=0,
        image_pull_secrets=("one", "two"),
        discovery=False,
        ranges=Configured(
            pods=(ip_network("11.0.0.0/8"), ip_network("fd00::/48")),
            services=(ip_network("12.0.0.0/8"),),
            nodes=(ip_network("13.0.0.0/8"),),
            further=(ip_network("14.0.0.0/8"),),
        ),
        cluster_dns=ClusterDns(namespace="dns", labels={"a": "b"}),
        own_address="10.0.0.9",
        gate_seconds=40,
        canary_service="isola-operator-canary",
        door_ports=tuple(range(18000, 18256)),
        own_labels={
            "app.kubernetes.io/component": "operator",
            "app.kubernetes.io/instance": "isola",
            "app.kubernetes.io/name": "isola",
        },
        metrics_port=9090,
        health_port=8081,
        leader_election=True,
        log_level="info",
        dev_mode=False,
    )


def test_the_gateway_reads_what_was_installed(chart: Chart) -> None:
    values = {
        "sandboxNamespace": {"name": "elsewhere"},
        "apiGateway": {"maxRequests": 1000000, "maxRequestsPerSandbox": 8},
    }
    assert gateway(chart.render(values)) == isola_gateway.settings.Settings(
        namespace="elsewhere",
        port=8080,
        limits=Limits(requests=1_000_000, sandbox_requests=8),
    )


def test_the_exporter_reads_what_was_installed(chart: Chart) -> None:
    values = {
        "sandboxNamespace": {"name": "elsewhere"},
        "exporter": {
            "enabled": True,
            "endpoint": "http://collector:4318",
            "windowHours": 2,
            "logging": {"level": "warn", "devMode": True},
            "env": [{"name": "OTEL_METRICS_EXPORTER", "value": "none"}],
        },
    }
    told = environment(chart.render(values), "isola-exporter")
    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert isola_exporter.settings.settings_from(told) == isola_exporter.settings.Settings(
        namespace="elsewhere",
        window=timedelta(hours=2),
        signals=frozenset({"traces", "logs"}),
        log_level="warning",
        dev_mode=True,
    )


def test_the_way_out_by_name_reads_what_was_installed(chart: Chart) -> None:
    values = {
        "sandboxNamespace": {"name": "elsewhere"},
        "operator": {"network": {"blockedCIDRs": ["14.0.0.0/8"]}},
        "egress": {
            "enabled": True,
            "ports": [443, 5432],
            "nameservers": ["9.9.9.9", "2620:fe::fe"],
            "connectionsPerSandbox": 7,
            "idleSeconds": 60,
            "logging": {"level": "debug", "devMode": True},
        },
    }
    manifests = chart.render(values)
    told = environment(manifests, "isola-egress")
    assert isola_egress.settings.settings_from(told) == isola_egress.settings.Settings(
        namespace="elsewhere",
        own_namespace="isola-system",
        service="isola-egress",
        addresses=("10.244.0.9",),
        ports=(443, 5432),
        most_connections=7,
        idle_seconds=60,
        discovery=True,
        ranges=Configured(further=(ip_network("14.0.0.0/8"),)),
        nameservers=("9.9.9.9", "2620:fe::fe"),
        log_level="debug",
        dev_mode=True,
    )
    way_out = operator(manifests)
    assert way_out.egress_service == "isola-egress"
    assert (way_out.egress.namespace, way_out.egress.ports) == ("isola-system", (443, 5432))
    pod = manifests.named("Deployment", "isola-egress")["spec"]["template"]["metadata"]
    assert selects(way_out.egress.labels, pod["labels"])
    asking = gateway(manifests)
    assert (asking.own_namespace, asking.egress_service) == ("isola-system", "isola-egress")


def test_what_sandboxes_connect_to_is_what_the_way_out_listens_on(chart: Chart) -> None:
    manifests = chart.render({"egress": {"enabled": True, "ports": [80, 443, 5432]}})
    (container,) = manifests.pod_specs()["isola-egress"]["containers"]
    named = {p["name"]: (p.get("protocol", "TCP"), p["containerPort"]) for p in container["ports"]}
    settings = isola_egress.settings
    own = {"metrics": settings.METRICS_PORT, "health": settings.HEALTH_PORT}
    assert {name: named[name][1] for name in own} == own
    assert named["control"] == ("TCP", EGRESS_CONTROL_PORT)
    served = {
        (p.get("protocol", "TCP"), p["port"], named[p["targetPort"]])
        for p in manifests.named("Service", "isola-egress")["spec"]["ports"]
        if p["name"] != "metrics"
    }
    # The same number on both sides: the port of a connection is what the component goes by.
    expected = [("UDP", 53), *(("TCP", port) for port in (53, 80, 443, 5432))]
    assert served == {(protocol, port, (protocol, port)) for protocol, port in expected}


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error"])
def test_both_accept_every_level_of_the_schema(chart: Chart, level: str) -> None:
    logs = {"logging": {"level": level, "devMode": True}}
    manifests = chart.render({"operator": logs, "apiGateway": logs})
    name = {"warn": "warning"}.get(level, level)
    assert (operator(manifests).log_level, gateway(manifests).log_level) == (name, name)
    assert operator(manifests).dev_mode
    assert gateway(manifests).dev_mode


def test_the_lease_that_may_be_written_is_the_one_that_is(chart: Chart) -> None:
    role = chart.render({"operator": {"replicaCount": 2}}).named(
        "Role", "isola-operator-leader-election"
    )
    (named,) = (rule for rule in role["rules"] if "resourceNames" in rule)
    assert named["resourceNames"] == [isola_operator.__main__.LEASE_NAME]


def test_the_way_in_leads_to_the_sidecars_of_the_pods_that_the_operator_makes(
    chart: Chart,
) -> None:
    policy = chart.render().named("NetworkPolicy", "isola-allow-api-gateway-ingress")["spec"]
    assert selects(policy["podSelector"]["matchLabels"], labels("any"))
    assert [port["port"] for port in policy["ingress"][0]["ports"]] == [SIDECAR_PORT]
