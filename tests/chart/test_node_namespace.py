"""What touches nodes in a namespace of its own, and all else where Pod Security is restricted."""

from typing import Any

import pytest

from chart.rendering import (
    MONITORING,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    Chart,
    Manifests,
    RefusedError,
    Values,
)

NODES = "isola-nodes"
S3 = {
    "type": "s3",
    "s3": {"bucket": "b", "region": "r", "accessKeyId": "a", "secretAccessKey": "s"},
}


def values(*, create: bool = True, **more: Any) -> Values:
    snapshots = {"enabled": True, "storage": S3}
    return {
        "operator": {"sandboxRuntime": {"rootfssnapshot": snapshots}},
        "nodeNamespace": {"name": NODES, "create": create},
        **more,
    }


def there(manifests: Manifests) -> set[tuple[str, str]]:
    """Return kind and name of what is in the namespace for what touches nodes."""
    return {
        (item["kind"], item["metadata"]["name"])
        for item in manifests.items
        if item["metadata"].get("namespace") == NODES
    }


def test_all_of_the_mounter_is_there_and_nothing_else(chart: Chart) -> None:
    assert there(chart.render(values())) == {
        ("DaemonSet", "isola-snapshot-mounter"),
        ("ServiceAccount", "isola-snapshot-mounter"),
        ("Secret", "isola-operator-snapshot-mounter-credentials"),
        ("Service", "isola-mounter-metrics"),
        ("NetworkPolicy", "isola-snapshot-mounter"),
        ("NetworkPolicy", "isola-default-deny"),
    }


def test_no_pod_of_the_release_namespace_has_anything_of_a_node(chart: Chart) -> None:
    manifests = chart.render(values())
    workloads = [*manifests.of("Deployment"), *manifests.of("DaemonSet")]
    touching = {
        item["metadata"]["namespace"]
        for item in workloads
        if any("hostPath" in v for v in item["spec"]["template"]["spec"]["volumes"])
    }
    assert touching == {NODES}


def test_it_writes_logs_under_its_name_from_there(chart: Chart) -> None:
    manifests = chart.render(values())
    account = f"system:serviceaccount:{NODES}:isola-snapshot-mounter"
    policy = manifests.named("ValidatingAdmissionPolicy", f"{RELEASE_NAMESPACE}.isola.writers")
    assert account in str(policy)
    assert f"{RELEASE_NAMESPACE}:isola-snapshot-mounter" not in str(manifests.items)
    binding = manifests.named("RoleBinding", "isola-snapshot-mounter")
    assert binding["metadata"]["namespace"] == SANDBOX_NAMESPACE
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "isola-snapshot-mounter", "namespace": NODES}
    ]


def test_its_metrics_are_scraped_there(chart: Chart) -> None:
    monitored = Chart(helm=chart.helm, home=chart.home, monitored=True)
    found = monitored.render(values(serviceMonitor={"enabled": True}))
    monitor = found.named("ServiceMonitor", "isola-snapshot-mounter")
    assert monitor["apiVersion"] == MONITORING
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NODES]}


def test_the_namespace_is_created_on_request_only(chart: Chart) -> None:
    (made,) = chart.render(values()).of("Namespace")
    assert made["metadata"]["name"] == NODES
    assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert chart.render(values(create=False)).of("Namespace") == []


def test_without_snapshots_nothing_is_there(chart: Chart) -> None:
    assert there(chart.render({"nodeNamespace": {"name": NODES}})) == set()


@pytest.mark.parametrize(
    ("namespace", "complaint"),
    [
        pytest.param({"create": True}, "nodeNamespace.name is empty: name", id="no name"),
        pytest.param(
            {"create": True, "name": RELEASE_NAMESPACE},
            "nodeNamespace.name is the release namespace",
            id="one that is there",
        ),
        pytest.param(
            {"name": SANDBOX_NAMESPACE},
            "nodeNamespace.name is the sandbox namespace",
            id="among the sandboxes",
        ),
        pytest.param({"name": "Nodes"}, "at '/nodeNamespace/name'", id="no name for a namespace"),
    ],
)
def test_a_namespace_that_cannot_be_is_refused(
    chart: Chart, namespace: Values, complaint: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        chart.render({"nodeNamespace": namespace})
    assert complaint in str(refused.value)
