"""The gVisor installer: what is rendered, and what its account may do to nodes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml

from chart.rendering import NODE_NAMESPACE, Chart, RefusedError
from support.kubernetes_server import ApiServer

INSTALLER = {"gvisor": {"installer": {"enabled": True}}}
ACCOUNT = f"system:serviceaccount:{NODE_NAMESPACE}:isola-gvisor-installer"


def test_it_is_off_by_default(chart: Chart) -> None:
    assert not [item for item in chart.render().items if "gvisor" in item["metadata"]["name"]]


def test_pods_of_its_runtime_class_go_where_gvisor_is(chart: Chart) -> None:
    made = chart.render(INSTALLER).named("RuntimeClass", "gvisor")
    assert made["handler"] == "runsc"
    assert made["scheduling"]["nodeSelector"] == {"isola.run/gvisor": "ready"}
    own = {"gvisor": {"installer": {"enabled": True, "runtimeClass": {"create": False}}}}
    assert not chart.render(own).of("RuntimeClass")


def test_flags_reach_the_installer_as_they_are(chart: Chart) -> None:
    flags = {"platform": "systrap", "allow-flag-override": 'a"b'}
    values = {"gvisor": {"installer": {"enabled": True, "runscConfig": flags}}}
    (container,) = chart.render(values).pod_specs()["isola-gvisor-installer"]["containers"]
    said = {each["name"]: each.get("value") for each in container["env"]}
    assert json.loads(said["ISOLA_GVISOR_FLAGS"]).items() >= flags.items()


def test_snapshots_that_would_look_for_another_runsc_are_refused(chart: Chart) -> None:
    rootfs = {"enabled": True, "storage": {"type": "gcs", "gcs": {"bucket": "b"}}}
    values: dict[str, Any] = {
        **INSTALLER,
        "operator": {"sandboxRuntime": {"rootfssnapshot": rootfs}},
    }
    with pytest.raises(RefusedError, match="set binaryPath to /opt/isola/bin/runsc"):
        chart.render(values)
    rootfs["runsc"] = {"binaryPath": "/opt/isola/bin/runsc"}
    assert chart.render(values)


def kubectl(server: ApiServer, *arguments: str, stdin: str = "") -> tuple[int, str]:
    done = server.run_kubectl(*arguments, stdin=stdin)
    return done.returncode, done.stdout + done.stderr


def patch(server: ApiServer, node: str, change: dict[str, Any], *, on: str = "one") -> str:
    """Return what the API server says to the installer's account on a node; empty if it agrees."""
    code, said = kubectl(
        server,
        *("patch", "node", node, "--type=merge", f"--patch={json.dumps(change)}"),
        *(f"--as={ACCOUNT}", f"--as-user-extra=authentication.kubernetes.io/node-name={on}"),
    )
    return said if code else ""


@pytest.mark.apiserver
def test_its_account_labels_its_own_node_and_does_nothing_else(
    chart: Chart, api_server: ApiServer
) -> None:
    kinds = {"ClusterRole", "ClusterRoleBinding"}
    admission = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    items = [
        item
        for item in chart.render(INSTALLER).items
        if item["kind"] in kinds | admission and "gvisor" in item["metadata"]["name"]
    ]
    assert len(items) == 4
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"zone": "a"}, "annotations": {"by": "kubelet"}},
        }
        for name in ("one", "two")
    ]
    code, said = kubectl(
        api_server, "apply", "--filename=-", stdin=yaml.safe_dump_all([*items, *nodes])
    )
    assert not code, said
    labels = {
        "metadata": {"labels": {"isola.run/gvisor": "ready", "isola.run/gvisor-from": "node"}}
    }
    deadline = time.monotonic() + 60
    while not patch(api_server, "two", labels):  # until the policy is in force
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "and no other" in patch(api_server, "two", labels)
    assert not patch(api_server, "one", labels)
    assert not patch(
        api_server, "one", {"metadata": {"labels": dict.fromkeys(labels["metadata"]["labels"])}}
    )
    for change in (
        {"spec": {"unschedulable": True}},
        {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
        {"metadata": {"labels": {"zone": "b"}}},
        {"metadata": {"labels": {"zone": None}}},
        {"metadata": {"labels": {"isola.run/gvisor-other": "x"}}},
        {"metadata": {"annotations": {"by": "me"}}},
        {"metadata": {"annotations": {"new": "me"}}},
        {"metadata": {"finalizers": ["isola.run/stuck"]}},
    ):
        assert "and nothing else of a node" in patch(api_server, "one", change), change
    for verb in ("delete", "create", "list"):
        code, said = kubectl(api_server, "auth", "can-i", verb, "nodes", f"--as={ACCOUNT}")
        assert said.startswith("no"), (verb, said)
