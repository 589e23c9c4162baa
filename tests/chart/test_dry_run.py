"""What is rendered, over a matrix of values, as the API server judges it: nothing is created.

Kinds of the Prometheus operator are left out: its definitions are not part of Kubernetes, and
`test_monitoring` holds those objects to what they should be.
"""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import yaml

from chart.rendering import MONITORING, NODE_NAMESPACE, RELEASE_NAMESPACE, Chart, Values
from isola_lifecycle.snapshot.state import Source
from isola_operator.manifests.job import JobSettings, adopting, removing, taking
from isola_store.port import Snapshot
from support.kubernetes_server import NAMESPACE, ApiServer
from support.store import NOW

pytestmark = pytest.mark.apiserver

SEVERAL = {"replicaCount": 3}
EVERYWHERE = [
    {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/part-of": "isola"}},
    }
]
PLACED = {
    "topologySpreadConstraints": EVERYWHERE,
    "tolerations": [{"key": "control", "operator": "Exists"}],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "podAnnotations": {"on": "true"},
    "priorityClassName": "system-cluster-critical",
}
DIGEST = {"digest": "sha256:" + "a" * 64}


def merged(*layers: Values) -> dict[str, Any]:
    """Return values over values, as Helm lays them."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below: Any = result.get(key)
            both = isinstance(value, dict) and isinstance(below, dict)
            result[key] = merged(cast("Values", below), cast("Values", value)) if both else value
    return result


def snapshots(storage: Values, **more: Any) -> dict[str, Any]:
    rootfs = {"enabled": True, "storage": storage, **more}
    return {"operator": {"sandboxRuntime": {"rootfssnapshot": rootfs}}}


S3 = {
    "type": "s3",
    "s3": {"bucket": "b", "region": "r", "accessKeyId": "1", "secretAccessKey": "true"},
}
GCS = {"type": "gcs", "gcs": {"bucket": "b"}}
AZURE = {"type": "azure", "azure": {"container": "c", "storageAccount": "a"}}
OWN_SECRETS = {
    "uploader": {"existingSecret": "bucket"},
    "snapshotMounter": {"existingSecret": "bucket", "priorityClassName": "system-node-critical"},
}
OFF = {
    "apiGateway": {"enabled": False},
    "admissionPolicies": {"enabled": False},
    "crds": {"enabled": False},
    "networkPolicies": {"enabled": False},
    "priorityClass": {"create": False},
    "operator": {"network": {"discoverRanges": False, "podCIDRs": ["10.0.0.0/8"]}},
}
ON = merged(
    snapshots(S3, uploader={"image": DIGEST}, runsc={"binaryPath": "/opt/isola/bin/runsc"}),
    {
        "operator": SEVERAL | PLACED | {"image": DIGEST},
        "apiGateway": SEVERAL | PLACED | {"image": DIGEST},
        "egress": SEVERAL | PLACED | {"enabled": True, "image": DIGEST},
        "exporter": PLACED | {"enabled": True, "endpoint": "http://c:4318", "image": DIGEST},
        "gvisor": {"installer": {"enabled": True, "image": DIGEST}},
        "dashboards": {"enabled": True, "additionalLabels": {"on": "true"}},
        "global": {"imagePullSecrets": [{"name": "pull"}]},
        "networkPolicies": {
            "apiServerCIDRs": ["192.0.2.0/24", "2001:db8::/32"],
            "storagePorts": [9000],
            "gatewayFrom": [{"podSelector": {"matchLabels": {"on": "true"}}}],
            "metricsFrom": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}],
        },
    },
)

MATRIX = [
    pytest.param(OFF, RELEASE_NAMESPACE, id="everything off"),
    pytest.param(ON, RELEASE_NAMESPACE, id="everything on, several replicas, images by digest"),
    pytest.param(
        merged(ON, {"serviceMonitor": {"enabled": True}, "alerts": {"enabled": True}}),
        RELEASE_NAMESPACE,
        id="monitored as well",
    ),
    pytest.param(snapshots(GCS), RELEASE_NAMESPACE, id="snapshots in GCS, by an identity"),
    pytest.param(
        snapshots(AZURE, expiry={"enabled": False}, **OWN_SECRETS),
        RELEASE_NAMESPACE,
        id="snapshots in Azure, with secrets of one's own",
    ),
    pytest.param({"egress": {"enabled": True}}, RELEASE_NAMESPACE, id="the way out by name"),
    pytest.param(
        merged(
            ON,
            {"sandboxNamespace": {"name": "1234", "create": True}},
            {"nodeNamespace": {"name": "5678"}},
        ),
        "on",
        id="namespaces that YAML takes for something else",
    ),
    pytest.param(
        merged(ON, {"fullnameOverride": "a" * 40, "global": {"imageRegistry": "mirror:5000/x/"}}),
        "n" * 63,
        id="the longest names, a registry of one's own",
    ),
]


@pytest.fixture(scope="module")
def api_server(each_api_server: ApiServer) -> ApiServer:
    return each_api_server


def kubectl(server: ApiServer, *arguments: str, stdin: str = "") -> str:
    done = server.run_kubectl(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def make(server: ApiServer, name: str, **labels: str) -> None:
    """Make sure of a namespace. It stays: without controllers one that is deleted never goes."""
    if name == NAMESPACE:
        return
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }
    kubectl(server, "apply", "--server-side", "--filename=-", stdin=json.dumps(body))


@pytest.mark.parametrize(("values", "namespace"), MATRIX)
def test_the_api_server_takes_every_object(
    chart: Chart, api_server: ApiServer, values: Values, namespace: str
) -> None:
    chart = Chart(helm=chart.helm, home=chart.home, monitored=True)
    items = [
        item
        for item in chart.render(values, namespace=namespace).items
        if item["apiVersion"] != MONITORING
    ]
    for name in {item["metadata"].get("namespace", namespace) for item in items}:
        make(api_server, name)
    # The test's pod is refused without it, and a dry run of its own leaves none.
    for item in (item for item in items if item["kind"] == "PriorityClass"):
        kubectl(api_server, "apply", "--filename=-", stdin=json.dumps(item))
    said = kubectl(
        api_server,
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"),
        "--filename=-",
        stdin=yaml.safe_dump_all(items),
    )
    lines = [
        line for line in said.splitlines() if line.endswith(" serverside-applied (server dry run)")
    ]
    assert len(lines) == len(items), said
    # Definitions are there already, as the tests' server got them: by another kind of apply.
    warnings = [line for line in said.splitlines() if "Warning" in line]
    assert all("last-applied-configuration" in line for line in warnings), warnings


def pods(chart: Chart, values: Values) -> dict[str, str]:
    """Return what each workload makes its pods of, as a Pod, by the workload's name."""
    return {
        name: json.dumps(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        )
        for name, spec in chart.render(values).pod_specs().items()
    }


def places(chart: Chart, values: Values) -> dict[str, str]:
    """Return in which namespace each workload is, by its name."""
    return {
        item["metadata"]["name"]: item["metadata"].get("namespace", RELEASE_NAMESPACE)
        for item in chart.render(values).items
        if item["kind"] in {"Deployment", "DaemonSet", "CronJob", "Pod"}
    }


def test_every_pod_of_the_release_namespace_is_admitted_as_restricted(
    chart: Chart, api_server: ApiServer
) -> None:
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    make(api_server, "restricted", **level)
    values = merged(ON, {"priorityClass": {"create": False}})
    where = places(chart, values)
    judged = {
        name: api_server.run_kubectl(
            *("apply", "--dry-run=server", "--namespace=restricted", "--filename=-"), stdin=pod
        )
        for name, pod in pods(chart, values).items()
    }
    refused = {name: done.stderr for name, done in judged.items() if done.returncode}
    assert {where[name] for name in refused} == {NODE_NAMESPACE}, refused
    assert refused.keys() == {"isola-snapshot-mounter", "isola-gvisor-installer"}, refused
    # Of the operator's Jobs in its namespace those without a capture would be admitted, too.
    snapshot = Snapshot(name="s", uid="u", generation=1, resource_version="1", created_at=NOW)
    settings = JobSettings(image="u:1", bucket_url="s3://b")
    source = Source(node="n1", container="c", container_id="c-1")
    jobs = {
        "adopt": adopting(snapshot, settings),
        "remove": removing(snapshot, 60, settings),
        "take": taking(snapshot, source, settings),
    }
    for command, job in jobs.items():
        spec = {**job["spec"]["template"]["spec"], "serviceAccountName": "default"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "job"}, "spec": spec}
        done = api_server.run_kubectl(
            *("apply", "--dry-run=server", "--namespace=restricted", "--filename=-"),
            stdin=json.dumps(pod),
        )
        assert bool(done.returncode) == (command == "take"), done.stderr
    assert 'violates PodSecurity "restricted' in refused["isola-snapshot-mounter"]
    assert "hostPath" in refused["isola-snapshot-mounter"]
