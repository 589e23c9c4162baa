"""What is installed: objects that Kubernetes knows, under the names others rely on."""

import importlib
from typing import Any

import pytest

from chart.rendering import (
    NODE_NAMESPACE,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    VERSION,
    Chart,
    Manifest,
    Manifests,
    Values,
    selects,
)

OF_NO_NAMESPACE = {
    "Namespace",
    "PriorityClass",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    *(
        f"{judging}AdmissionPolicy{binding}"
        for judging in ("Validating", "Mutating")
        for binding in ("", "Binding")
    ),
}
DIGEST = "sha256:" + "0" * 64

MANY = {"operator": {"replicaCount": 3}, "apiGateway": {"replicaCount": 2}}

EVERYTHING_SET: Values = {
    "nameOverride": "sandboxing",
    "global": {"imageRegistry": "registry.example/mirror", "imagePullSecrets": [{"name": "pull"}]},
    "sandboxNamespace": {"name": "elsewhere", "create": True},
    "operator": {
        "image": {"tag": "1.2.3"},
        "replicaCount": 2,
        "metrics": {"port": 9090, "service": {"type": "NodePort", "nodePort": 30090}},
        "resources": {"limits": {"memory": "256Mi"}},
        "serviceAccount": {"create": False, "name": "given"},
        "logging": {"level": "debug", "devMode": True},
        "sandboxSidecar": {"image": {"digest": DIGEST, "pullPolicy": "Always"}},
        "sandboxRuntime": {"runtimeClassName": "gvisor-kvm"},
        "sandboxPriorityClassName": "low",
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "control", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
            }
        ],
    },
    "exporter": {
        "enabled": True,
        "endpoint": "https://collector:4318",
        "env": [{"name": "OTEL_SERVICE_NAME", "value": "on"}],
        "resources": {"limits": {"memory": "256Mi"}},
        "serviceAccount": {"annotations": {"a": "b"}},
        "logging": {"level": "debug", "devMode": True},
        "podAnnotations": {"a": "b"},
    },
    "egress": {
        "enabled": True,
        "ports": [80, 443, 5432],
        "nameservers": ["9.9.9.9"],
        "resources": {"limits": {"memory": "256Mi"}},
        "serviceAccount": {"annotations": {"a": "b"}},
        "logging": {"level": "debug", "devMode": True},
        "podAnnotations": {"a": "b"},
    },
    "admissionPolicies": {"enabled": False},
    "dashboards": {"enabled": True, "additionalLabels": {"a": "on"}},
    "apiGateway": {
        "replicaCount": 2,
        "service": {"type": "NodePort", "nodePort": 30080, "annotations": {"a": "b"}},
        "serviceAccount": {"annotations": {"a": "b"}},
    },
}

SNAPSHOTS: Values = {
    "operator": {
        "sandboxRuntime": {
            "rootfssnapshot": {
                "enabled": True,
                "storage": {
                    "type": "s3",
                    "s3": {"bucket": "b", "accessKeyId": "on", "secretAccessKey": "0"},
                },
                "snapshotMounter": {
                    "priorityClassName": "on",
                    "podAnnotations": {"a": "on"},
                    "nodeSelector": {"a": "true"},
                    "serviceAccount": {"annotations": {"a": "1"}},
                },
            }
        }
    }
}

VARIATIONS = [
    pytest.param({}, id="defaults"),
    pytest.param(MANY, id="several replicas"),
    pytest.param({"apiGateway": {"enabled": False}}, id="no gateway"),
    pytest.param({"sandboxNamespace": {"create": True}}, id="namespace created"),
    pytest.param({"fullnameOverride": "a" * 40}, id="longest name"),
    pytest.param({"nameOverride": "on"}, id="a name that YAML takes for a boolean"),
    pytest.param({"global": {"imagePullSecrets": [{"name": "on"}]}}, id="a secret likewise"),
    pytest.param({"sandboxNamespace": {"name": "1234"}}, id="a namespace of digits"),
    pytest.param(EVERYTHING_SET, id="everything set"),
    pytest.param(SNAPSHOTS, id="snapshots"),
    pytest.param({**SNAPSHOTS, "fullnameOverride": "a" * 40}, id="snapshots, the longest name"),
]


def model(manifest: Manifest) -> Any:
    """Return the Kubernetes client's strict model of a kind of built-in object."""
    return getattr(importlib.import_module("kubernetes.client"), f"V1{manifest['kind']}")


@pytest.mark.parametrize("values", VARIATIONS)
def test_kubernetes_knows_every_field(chart: Chart, values: Values) -> None:
    builtin = [
        item for item in chart.render(values).items if item["kind"] != "CustomResourceDefinition"
    ]
    assert builtin
    for manifest in builtin:
        parsed = model(manifest).model_validate(manifest)  # refuses unknown fields
        assert parsed.model_dump(by_alias=True, exclude_none=True) == manifest


@pytest.mark.parametrize("values", VARIATIONS)
def test_no_two_objects_share_a_name(chart: Chart, values: Values) -> None:
    seen = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in chart.render(values).items
    ]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("values", VARIATIONS)
def test_everything_says_where_it_belongs(chart: Chart, values: Values) -> None:
    sandboxes = values.get("sandboxNamespace", {}).get("name", SANDBOX_NAMESPACE)
    for item in chart.render(values).items:
        if item["kind"] not in OF_NO_NAMESPACE:
            assert item["metadata"]["namespace"] in {RELEASE_NAMESPACE, NODE_NAMESPACE, sandboxes}
        assert item["metadata"]["labels"]["app.kubernetes.io/part-of"] == "isola"


def test_labels_and_names_stay_within_their_bounds_for_the_longest_names(chart: Chart) -> None:
    for item in chart.render(release="r" * 53, namespace="n" * 63).items:
        assert all(len(value) <= 63 for value in item["metadata"]["labels"].values())
        if item["kind"] == "Service":
            assert len(item["metadata"]["name"]) <= 63


def test_the_gateway_is_a_service_that_clients_find_by_its_name(chart: Chart) -> None:
    spec = chart.render().named("Service", "isola-api-gateway")["spec"]
    assert spec["type"] == "ClusterIP"
    (port,) = spec["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")


def backends(manifests: Manifests, service: str) -> list[str]:
    selector = manifests.named("Service", service)["spec"]["selector"]
    templates = {
        item["metadata"]["name"]: item["spec"]["template"] for item in manifests.of("Deployment")
    } | {item["metadata"]["name"]: item for item in manifests.of("Pod")}
    return [
        name
        for name, template in templates.items()
        if selects(selector, template["metadata"]["labels"])
    ]


@pytest.mark.parametrize(
    ("service", "deployment"),
    [
        ("isola-api-gateway", "isola-api-gateway"),
        ("isola-operator-metrics", "isola-operator"),
    ],
)
def test_a_service_leads_to_its_own_pods_only(chart: Chart, service: str, deployment: str) -> None:
    manifests = chart.render()
    assert backends(manifests, service) == [deployment]
    (port,) = manifests.named("Service", service)["spec"]["ports"]
    (container,) = manifests.pod_specs()[deployment]["containers"]
    assert port["targetPort"] in {open_port["name"] for open_port in container["ports"]}


@pytest.mark.parametrize("values", VARIATIONS)
def test_a_deployment_selects_its_own_pods(chart: Chart, values: Values) -> None:
    for deployment in chart.render(values).of("Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selects(selector, deployment["spec"]["template"]["metadata"]["labels"])
        assert "app.kubernetes.io/version" not in selector  # immutable, so it may not be a version


def test_node_ports_are_what_was_asked_for(chart: Chart) -> None:
    manifests = chart.render(EVERYTHING_SET)
    services = {item["metadata"]["name"]: item["spec"] for item in manifests.of("Service")}
    assert {
        name: (spec["type"], spec["ports"][0]["nodePort"])
        for name, spec in services.items()
        if "type" in spec
    } == {
        "isola-sandboxing-api-gateway": ("NodePort", 30080),
        "isola-sandboxing-operator-metrics": ("NodePort", 30090),
    }


def image(manifests: Manifests, deployment: str) -> str:
    return manifests.pod_specs()[deployment]["containers"][0]["image"]


@pytest.mark.parametrize(
    ("settings", "registry", "expected"),
    [
        pytest.param(
            {}, "", f"ghcr.io/isola-run/isola-operator:{VERSION}", id="default: app version"
        ),
        pytest.param({"tag": "7"}, "", "ghcr.io/isola-run/isola-operator:7", id="tag"),
        pytest.param(
            {"tag": "7", "digest": DIGEST},
            "",
            f"ghcr.io/isola-run/isola-operator@{DIGEST}",
            id="the digest wins over the tag",
        ),
        pytest.param(
            {}, "mirror:5000/x/", f"mirror:5000/x/isola-operator:{VERSION}", id="global registry"
        ),
        pytest.param({"registry": ""}, "", f"isola-operator:{VERSION}", id="no registry"),
    ],
)
def test_an_image_is_named_by_registry_repository_and_digest_or_tag(
    chart: Chart, settings: Values, registry: str, expected: str
) -> None:
    values = {"operator": {"image": settings}, "global": {"imageRegistry": registry}}
    assert image(chart.render(values), "isola-operator") == expected


def test_each_component_has_an_image_of_its_own(chart: Chart) -> None:
    manifests = chart.render()
    assert image(manifests, "isola-api-gateway") == f"ghcr.io/isola-run/isola-api-gateway:{VERSION}"
    assert (
        manifests.environment("isola-operator")["ISOLA_SANDBOX_SIDECAR_IMAGE"]
        == f"ghcr.io/isola-run/isola-sandbox-sidecar:{VERSION}"
    )


def own_labels(name: str) -> str:
    labels = ("component=operator", "instance=isola", f"name={name}")
    return ",".join(f"app.kubernetes.io/{label}" for label in labels)


def test_the_operator_is_told_all_it_must_know(chart: Chart) -> None:
    assert chart.render().environment("isola-operator") == {
        "ISOLA_NAMESPACE": None,
        "ISOLA_POD_NAME": None,
        "ISOLA_SANDBOX_NAMESPACE": "isola-sandboxes",
        "ISOLA_SANDBOX_SIDECAR_IMAGE": f"ghcr.io/isola-run/isola-sandbox-sidecar:{VERSION}",
        "ISOLA_SANDBOX_SIDECAR_IMAGE_PULL_POLICY": "IfNotPresent",
        "ISOLA_RUNTIME_CLASS": "gvisor",
        "ISOLA_ADMISSION_POLICIES": "true",
        "ISOLA_LEADER_ELECTION": "false",
        "ISOLA_LOG_LEVEL": "info",
        "ISOLA_DEV_MODE": "false",
        "ISOLA_POD_IPS": None,
        "ISOLA_GATE_SECONDS": "40",
        "ISOLA_CANARY_PORT": "8089",
        "ISOLA_CANARY_SERVICE": "isola-operator-canary",
        "ISOLA_DOOR_PORT": "18000",
        "ISOLA_LABELS": own_labels("isola"),
        "ISOLA_RANGE_DISCOVERY": "true",
        "ISOLA_POD_CIDRS": "",
        "ISOLA_SERVICE_CIDRS": "",
        "ISOLA_NODE_CIDRS": "",
        "ISOLA_BLOCKED_CIDRS": "",
        "ISOLA_CLUSTER_DNS_NAMESPACE": "kube-system",
        "ISOLA_CLUSTER_DNS_LABELS": "k8s-app=kube-dns",
        "ISOLA_NODE_LOSS_SECONDS": "60",
        "ISOLA_RECORD_TTL_SECONDS": "604800",
        "ISOLA_METRICS_PORT": "8080",
        "ISOLA_HEALTH_PORT": "8081",
    }


def test_values_reach_the_operator(chart: Chart) -> None:
    assert chart.render(EVERYTHING_SET).environment("isola-sandboxing-operator") == {
        "ISOLA_NAMESPACE": None,
        "ISOLA_POD_NAME": None,
        "ISOLA_SANDBOX_NAMESPACE": "elsewhere",
        "ISOLA_SANDBOX_SIDECAR_IMAGE": f"registry.example/mirror/isola-sandbox-sidecar@{DIGEST}",
        "ISOLA_SANDBOX_SIDECAR_IMAGE_PULL_POLICY": "Always",
        "ISOLA_RUNTIME_CLASS": "gvisor-kvm",
        "ISOLA_ADMISSION_POLICIES": "false",
        "ISOLA_PRIORITY_CLASS": "low",
        "ISOLA_IMAGE_PULL_SECRETS": "pull",
        "ISOLA_LEADER_ELECTION": "true",
        "ISOLA_LOG_LEVEL": "debug",
        "ISOLA_DEV_MODE": "true",
        "ISOLA_POD_IPS": None,
        "ISOLA_GATE_SECONDS": "40",
        "ISOLA_CANARY_PORT": "8089",
        "ISOLA_CANARY_SERVICE": "isola-sandboxing-operator-canary",
        "ISOLA_DOOR_PORT": "18000",
        "ISOLA_LABELS": own_labels("sandboxing"),
        "ISOLA_RANGE_DISCOVERY": "true",
        "ISOLA_POD_CIDRS": "",
        "ISOLA_SERVICE_CIDRS": "",
        "ISOLA_NODE_CIDRS": "",
        "ISOLA_BLOCKED_CIDRS": "",
        "ISOLA_CLUSTER_DNS_NAMESPACE": "kube-system",
        "ISOLA_CLUSTER_DNS_LABELS": "k8s-app=kube-dns",
        "ISOLA_EGRESS_SERVICE": "isola-sandboxing-egress",
        "ISOLA_EGRESS_PORTS": "80,443,5432",
        "ISOLA_EGRESS_LABELS": ",".join(
            f"app.kubernetes.io/{label}"
            for label in ("component=egress", "instance=isola", "name=sandboxing")
        ),
        "ISOLA_NODE_LOSS_SECONDS": "60",
        "ISOLA_RECORD_TTL_SECONDS": "604800",
        "ISOLA_METRICS_PORT": "9090",
        "ISOLA_HEALTH_PORT": "8081",
    }


def test_all_pull_secrets_reach_control_plane_and_sandboxes(chart: Chart) -> None:
    secrets = [{"name": "one"}, {"name": "two"}]
    manifests = chart.render({"global": {"imagePullSecrets": secrets}})
    assert manifests.environment("isola-operator")["ISOLA_IMAGE_PULL_SECRETS"] == "one,two"
    assert all(spec["imagePullSecrets"] == secrets for spec in manifests.pod_specs().values())


def test_the_gateway_is_told_all_it_must_know(chart: Chart) -> None:
    assert chart.render().environment("isola-api-gateway") == {
        "ISOLA_HTTP_PORT": "8080",
        "ISOLA_SANDBOX_NAMESPACE": "isola-sandboxes",
        "ISOLA_LOG_LEVEL": "info",
        "ISOLA_DEV_MODE": "false",
        "ISOLA_UI": "true",
        "ISOLA_MAX_REQUESTS": "1024",
        "ISOLA_MAX_REQUESTS_PER_SANDBOX": "256",
    }


def test_no_service_sets_a_variable_in_our_prefix(chart: Chart) -> None:
    specs = chart.render().pod_specs()
    assert all(spec["enableServiceLinks"] is False for spec in specs.values())


@pytest.mark.parametrize(
    ("deployment", "port", "number", "grace"),
    [("isola-operator", "health", 8081, 10), ("isola-api-gateway", "http", 8080, 30)],
)
def test_probes_ask_the_port_that_answers_them(
    chart: Chart, deployment: str, port: str, number: int, grace: int
) -> None:
    spec = chart.render().pod_specs()[deployment]
    assert spec["terminationGracePeriodSeconds"] == grace
    (container,) = spec["containers"]
    assert {"name": port, "containerPort": number} in container["ports"]
    probes = {key: container[key]["httpGet"] for key in container if key.endswith("Probe")}
    assert probes == {
        "startupProbe": {"path": "/healthz", "port": port},
        "livenessProbe": {"path": "/healthz", "port": port},
        "readinessProbe": {"path": "/readyz", "port": port},
    }


def test_a_rollout_never_takes_the_last_pod_away_first(chart: Chart) -> None:
    for deployment in chart.render().of("Deployment"):
        assert deployment["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"image": {"tag": "next"}}, id="image"),
        pytest.param({"logging": {"level": "debug"}}, id="setting"),
        pytest.param({"podAnnotations": {"restarted": "now"}}, id="annotation"),
    ],
)
def test_a_changed_value_rolls_the_pods(chart: Chart, change: Values) -> None:
    before, after = (
        chart.render(values).named("Deployment", "isola-operator")["spec"]["template"]
        for values in ({}, {"operator": change})
    )
    assert before != after


def test_a_budget_guards_several_pods_and_never_a_single_one(chart: Chart) -> None:
    assert chart.render().of("PodDisruptionBudget") == []
    several = chart.render(MANY)
    assert {item["metadata"]["name"] for item in several.of("PodDisruptionBudget")} == {
        "isola-operator",
        "isola-api-gateway",
    }
    for budget in several.of("PodDisruptionBudget"):
        deployment = several.named("Deployment", budget["metadata"]["name"])
        assert budget["spec"]["selector"] == deployment["spec"]["selector"]
        assert budget["spec"]["maxUnavailable"] == 1


def test_replicas_are_what_was_asked_for(chart: Chart) -> None:
    deployments = chart.render(MANY).of("Deployment")
    assert {item["metadata"]["name"]: item["spec"]["replicas"] for item in deployments} == {
        "isola-operator": 3,
        "isola-api-gateway": 2,
    }


def test_scheduling_settings_reach_the_component_they_are_for(chart: Chart) -> None:
    keys = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")
    specs = chart.render(EVERYTHING_SET).pod_specs()
    for key in keys:
        assert specs["isola-sandboxing-operator"][key] == EVERYTHING_SET["operator"][key]
        other = specs["isola-sandboxing-api-gateway"].get(key)
        assert other != EVERYTHING_SET["operator"][key]


def test_the_sandbox_namespace_is_created_on_request_only(chart: Chart) -> None:
    assert chart.render().of("Namespace") == []
    manifests = chart.render({"sandboxNamespace": {"create": True}})
    namespace = manifests.named("Namespace", SANDBOX_NAMESPACE)
    label = "pod-security.kubernetes.io/enforce"
    assert namespace["metadata"]["labels"][label] == "privileged"  # the sidecar's SYS_PTRACE


def test_without_the_gateway_nothing_of_it_is_left(chart: Chart) -> None:
    for item in chart.render({"apiGateway": {"enabled": False}}).items:
        assert "api-gateway" not in str(item)


def test_helm_test_asks_the_gateway_for_a_sandbox_of_its_own_image(chart: Chart) -> None:
    manifests = chart.render()
    (pod,) = manifests.of("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    service = manifests.named("Service", "isola-api-gateway")["metadata"]["name"]
    program, url, sandbox_image = container["command"][-3:]
    compile(program, "helm test", "exec")
    assert url == f"http://{service}"
    assert container["image"] == sandbox_image == image(manifests, "isola-api-gateway")
