"""What watches the installation: monitors, dashboards and alerts, each only on request."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from chart.rendering import CHART, MONITORING, Chart, RefusedError, selects

ALL = {"serviceMonitor": {"enabled": True}, "alerts": {"enabled": True}}
SNAPSHOTS = {"enabled": True, "storage": {"type": "s3", "s3": {"bucket": "b", "region": "r"}}}
WITH_SNAPSHOTS = {"operator": {"sandboxRuntime": {"rootfssnapshot": SNAPSHOTS}}}
EXPORTING = {"exporter": {"enabled": True, "endpoint": "http://collector:4318"}}


@pytest.fixture
def monitored(chart: Chart) -> Chart:
    """Return the chart for a cluster with the Prometheus operator."""
    return replace(chart, monitored=True)


def test_nothing_of_it_is_installed_unasked(monitored: Chart) -> None:
    kinds = {item["kind"] for item in monitored.render().items}
    assert not kinds & {"ServiceMonitor", "PrometheusRule", "ConfigMap"}
    assert "isola-exporter" not in monitored.render().pod_specs()


@pytest.mark.parametrize("value", ["serviceMonitor", "alerts"])
def test_a_cluster_without_the_prometheus_operator_is_refused_in_words(
    chart: Chart, value: str
) -> None:
    with pytest.raises(RefusedError, match=f"{value}.enabled is true, but the cluster has no"):
        chart.render({value: {"enabled": True}})


def test_an_exporter_needs_to_know_where_to(chart: Chart) -> None:
    with pytest.raises(RefusedError, match=r"exporter\.endpoint is empty"):
        chart.render({"exporter": {"enabled": True}})


@pytest.mark.parametrize(
    ("values", "components"),
    [
        ({}, {"operator", "api-gateway"}),
        (EXPORTING, {"operator", "api-gateway", "exporter"}),
        ({"egress": {"enabled": True}}, {"operator", "api-gateway", "egress"}),
        ({"apiGateway": {"enabled": False}}, {"operator"}),
        (WITH_SNAPSHOTS, {"operator", "api-gateway", "snapshot-mounter"}),
    ],
)
def test_each_component_is_scraped_where_it_shows_its_metrics(
    monitored: Chart, values: dict[str, object], components: set[str]
) -> None:
    manifests = monitored.render({**ALL, **values})
    found: set[str] = set()
    for monitor in manifests.of("ServiceMonitor"):
        spec = monitor["spec"]
        (service,) = (
            item
            for item in manifests.of("Service")
            if selects(spec["selector"]["matchLabels"], item["metadata"]["labels"])
        )
        (endpoint,) = spec["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        # The queries know a component by its job.
        found.add(service["metadata"]["labels"][spec["jobLabel"]])
    assert found == components


def test_labels_by_which_a_prometheus_chooses_are_added(monitored: Chart) -> None:
    labels = {"release": "prometheus"}
    values = {value: {"enabled": True, "additionalLabels": labels} for value in ALL}
    manifests = monitored.render(values)
    for item in (*manifests.of("ServiceMonitor"), *manifests.of("PrometheusRule")):
        assert item["apiVersion"] == MONITORING
        assert selects(labels, item["metadata"]["labels"])


def test_dashboards_are_found_by_grafana_s_sidecar_and_are_whole(chart: Chart) -> None:
    found: dict[str, Any] = {}
    for item in chart.render({"dashboards": {"enabled": True}}).of("ConfigMap"):
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        found |= {name: json.loads(text) for name, text in item["data"].items()}
    shipped = sorted((CHART / "files" / "dashboards").glob("*.json"))
    assert found == {f"isola-{path.name}": json.loads(path.read_text()) for path in shipped}
    assert {dashboard["title"] for dashboard in found.values()} == {
        "Isola / Fleet",
        "Isola / One sandbox",
        "Isola / Start latency",
        "Isola / Failures",
        "Isola / Control plane",
    }


def test_alerts_are_installed_as_they_were_tested(monitored: Chart) -> None:
    (rule,) = monitored.render(ALL).of("PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
