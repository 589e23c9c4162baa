"""What touches nodes in a namespace of its own, and all else where Pod Security is restricted."""

from typing import Any

import pytest

from chart.rendering import (
    MONITORING,
    NODE_NAMESPACE,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    Chart,
    Manifests,
    RefusedError,
    Values,
)

S3 = {
    "type": "s3",
    "s3": {"bucket": "b", "region": "r", "accessKeyId": "a", "secretAccessKey": "s"},
}
SNAPSHOTS: Values = {
    "operator": {"sandboxRuntime": {"rootfssnapshot": {"enabled": True, "storage": S3}}}
}
INSTALLER: Values = {"gvisor": {"installer": {"enabled": True}}}
ENFORCE = "pod-security.kubernetes.io/enforce"


def there(manifests: Manifests, namespace: str = NODE_NAMESPACE) -> set[tuple[str, str]]:
    """Return kind and name of what is in a namespace: that for what touches nodes."""
    return {
        (item["kind"], item["metadata"]["name"])
        for item in manifests.items
        if item["metadata"].get("namespace") == namespace
    }


def test_all_that_touches_nodes_or_has_the_bucket_s_credentials_is_there(chart: Chart) -> None:
    assert there(chart.render(SNAPSHOTS)) == {
        ("DaemonSet", "isola-snapshot-mounter"),
        ("ServiceAccount", "isola-snapshot-mounter"),
        ("Secret", "isola-operator-snapshot-mounter-credentials"),
        ("Service", "isola-mounter-metrics"),
        ("NetworkPolicy", "isola-snapshot-mounter"),
        ("NetworkPolicy", "isola-default-deny"),
        ("CronJob", "isola-snapshot-expiry"),
        ("CronJob", "isola-snapshot-inventory"),
        ("ServiceAccount", "isola-snapshot-uploader"),
        ("Secret", "isola-operator-snapshot-uploader-credentials"),
        ("NetworkPolicy", "isola-snapshot-uploader"),
        ("Role", "isola-operator-jobs"),
        ("RoleBinding", "isola-operator-jobs"),
    }
    assert there(chart.render(INSTALLER)) == {
        ("DaemonSet", "isola-gvisor-installer"),
        ("ServiceAccount", "isola-gvisor-installer"),
    }


def test_nothing_with_credentials_is_where_whoever_creates_sandboxes_can_mount_it(
    chart: Chart,
) -> None:
    kinds = {kind for kind, _ in there(chart.render(SNAPSHOTS), SANDBOX_NAMESPACE)}
    assert kinds == {"NetworkPolicy", "Role", "RoleBinding"}


@pytest.mark.parametrize("values", [SNAPSHOTS, INSTALLER], ids=["snapshots", "installer"])
def test_no_pod_of_the_release_namespace_has_anything_of_a_node(
    chart: Chart, values: Values
) -> None:
    manifests = chart.render(values)
    workloads = [*manifests.of("Deployment"), *manifests.of("DaemonSet")]
    touching = {
        item["metadata"]["namespace"]
        for item in workloads
        if any("hostPath" in v for v in item["spec"]["template"]["spec"]["volumes"])
    }
    assert touching == {NODE_NAMESPACE}


def test_both_write_logs_under_their_names_from_there(chart: Chart) -> None:
    manifests = chart.render(SNAPSHOTS)
    policy = manifests.named("ValidatingAdmissionPolicy", f"{RELEASE_NAMESPACE}.isola.writers")
    for name in ("isola-snapshot-mounter", "isola-snapshot-uploader"):
        assert f"system:serviceaccount:{NODE_NAMESPACE}:{name}" in str(policy)
        assert f"{RELEASE_NAMESPACE}:{name}" not in str(manifests.items)
        assert f"{SANDBOX_NAMESPACE}:{name}" not in str(manifests.items)
        binding = manifests.named("RoleBinding", name)
        assert binding["metadata"]["namespace"] == SANDBOX_NAMESPACE
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": name, "namespace": NODE_NAMESPACE}
        ]


def test_the_mounter_s_metrics_are_scraped_there(chart: Chart) -> None:
    monitored = Chart(helm=chart.helm, home=chart.home, monitored=True)
    found = monitored.render({**SNAPSHOTS, "serviceMonitor": {"enabled": True}})
    monitor = found.named("ServiceMonitor", "isola-snapshot-mounter")
    assert monitor["apiVersion"] == MONITORING
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NODE_NAMESPACE]}


def test_the_namespace_is_created_with_what_it_is_for_unless_it_is_there(chart: Chart) -> None:
    for values in (SNAPSHOTS, INSTALLER):
        (made,) = chart.render(values).of("Namespace")
        assert made["metadata"]["name"] == NODE_NAMESPACE
        assert made["metadata"]["labels"][ENFORCE] == "privileged"
        own = {**values, "nodeNamespace": {"name": "nodes", "create": False}}
        assert chart.render(own).of("Namespace") == []
        assert there(chart.render(own), "nodes") == there(chart.render(values))


def test_without_anything_that_touches_nodes_there_is_none(chart: Chart) -> None:
    manifests = chart.render({"nodeNamespace": {"create": True}})
    assert there(manifests) == set()
    assert manifests.of("Namespace") == []
    assert "ISOLA_NODE_NAMESPACE" not in manifests.environment("isola-operator")


@pytest.mark.parametrize("values", [SNAPSHOTS, INSTALLER], ids=["snapshots", "installer"])
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param("", "nodeNamespace.name is empty", id="no name"),
        pytest.param(RELEASE_NAMESPACE, "name is the release namespace", id="the release's"),
        pytest.param(SANDBOX_NAMESPACE, "name is the sandbox namespace", id="among sandboxes"),
        pytest.param("kube-system", "a namespace of Kubernetes itself", id="Kubernetes' own"),
    ],
)
def test_a_namespace_for_something_else_is_refused_with_advice(
    chart: Chart, values: dict[str, Any], name: str, complaint: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        chart.render({**values, "nodeNamespace": {"name": name}})
    assert complaint in str(refused.value)
    assert "such as isola-nodes" in str(refused.value)


def test_a_name_that_no_namespace_has_is_refused(chart: Chart) -> None:
    with pytest.raises(RefusedError, match="at '/nodeNamespace/name'"):
        chart.render({"nodeNamespace": {"name": "Nodes"}})
