"""The pod of a sandbox: what every one gets, whatever its template says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from isola_lifecycle.sandbox.network import NOTHING, Network
from isola_lifecycle.sandbox.ranges import blocked
from isola_operator.credentials import Credentials
from isola_operator.manifests.faults import faults
from isola_operator.manifests.pod import PodSettings, build
from isola_store.port import Sandbox

SETTINGS = PodSettings(
    runtime_class="gvisor",
    sidecar_image="sidecar:1",
    sidecar_pull_policy="IfNotPresent",
    priority_class="sandboxes",
    image_pull_secrets=("registry",),
    version="v1.2.3",
)
CREDENTIALS = Credentials("-----BEGIN CERTIFICATE-----", "TUlH-_w=")
CONTAINER = {"name": "sandbox0", "image": "python"}


def sandbox(pod: dict[str, Any] | None = None, **metadata: dict[str, str]) -> Sandbox:
    template = {"metadata": metadata, "spec": {"containers": [CONTAINER], **(pod or {})}}
    return Sandbox(
        name="s",
        uid="u-1",
        generation=1,
        resource_version="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        spec={"podTemplate": template},
    )


def test_the_pod_belongs_to_its_sandbox() -> None:
    metadata = build(sandbox(), NOTHING, SETTINGS, CREDENTIALS)["metadata"]
    assert metadata["name"] == "s-pod"
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
        "Sandbox",
        "s",
        "u-1",
        True,
    )


def test_what_isolates_it_cannot_be_overridden() -> None:
    spec = build(
        sandbox(
            {
                "runtimeClassName": "runc",
                "restartPolicy": "Always",
                "automountServiceAccountToken": True,
                "dnsPolicy": "ClusterFirst",
                "dnsConfig": {"nameservers": ["8.8.8.8"]},
                "shareProcessNamespace": False,
                "enableServiceLinks": True,
            }
        ),
        NOTHING,
        SETTINGS,
        CREDENTIALS,
    )["spec"]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"]["nameservers"] == ["127.0.0.1"]
    assert spec["shareProcessNamespace"] is True
    assert spec["enableServiceLinks"] is False


def test_a_template_s_labels_cannot_pass_for_ours() -> None:
    metadata = build(
        sandbox(
            labels={
                "team": "a",
                "isola.run/sandbox": "false",
                "isola.run/allow-ipv4-internet-egress": "true",
                "app.kubernetes.io/managed-by": "me",
            },
            annotations={"note": "n", "dev.gvisor.flag.network": "host"},
        ),
        NOTHING,
        SETTINGS,
        CREDENTIALS,
    )["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert metadata["labels"]["isola.run/sandbox"] == "true"
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "isola-operator"
    assert "isola.run/allow-ipv4-internet-egress" not in metadata["labels"]
    assert metadata["annotations"] == {
        "note": "n",
        "dev.gvisor.flag.overlay2": "root:self",
        "isola.run/sidecar-version": "v1.2.3",
    }


def test_a_container_without_a_command_sleeps_and_knows_its_name() -> None:
    (container,) = build(sandbox(), NOTHING, SETTINGS, CREDENTIALS)["spec"]["containers"]
    assert container["command"] == ["sleep", "infinity"]
    assert container["env"] == [{"name": "ISOLA_CONTAINER_NAME", "value": "sandbox0"}]


def test_a_container_keeps_its_command_and_environment_but_not_a_false_name() -> None:
    own = {
        **CONTAINER,
        "command": ["python", "-m", "http.server"],
        "env": [{"name": "A", "value": "1"}, {"name": "ISOLA_CONTAINER_NAME", "value": "x"}],
    }
    (container,) = build(sandbox({"containers": [own]}), NOTHING, SETTINGS, CREDENTIALS)["spec"][
        "containers"
    ]
    assert container["command"] == ["python", "-m", "http.server"]
    assert [e["name"] for e in container["env"]] == ["A", "ISOLA_CONTAINER_NAME"]
    assert container["env"][1]["value"] == "sandbox0"


def test_the_sidecar_comes_before_the_user_s_init_containers() -> None:
    first = {"name": "prepare", "image": "busybox"}
    spec = build(sandbox({"initContainers": [first]}), NOTHING, SETTINGS, CREDENTIALS)["spec"]
    assert [c["name"] for c in spec["initContainers"]] == ["sandbox-sidecar", "prepare"]
    sidecar = spec["initContainers"][0]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["image"] == "sidecar:1"
    assert sidecar["imagePullPolicy"] == "IfNotPresent"
    assert sidecar["resources"]["limits"] == {"cpu": "1m", "memory": "1Mi"}
    assert sidecar["securityContext"]["capabilities"] == {
        "add": ["SYS_PTRACE", "NET_ADMIN"],
        "drop": ["NET_RAW"],
    }


def test_no_container_forges_packets_and_what_else_its_template_says_stays() -> None:
    context = {"runAsUser": 7, "capabilities": {"drop": ["CHOWN"]}}
    first = {"name": "prepare", "image": "busybox"}
    spec = build(
        sandbox(
            {"initContainers": [first], "containers": [{**CONTAINER, "securityContext": context}]}
        ),
        NOTHING,
        replace(SETTINGS, gate_seconds=7),
        CREDENTIALS,
    )["spec"]
    dropped = {
        each["name"]: each["securityContext"]["capabilities"]["drop"]
        for each in (*spec["initContainers"], *spec["containers"])
    }
    assert dropped == {
        "sandbox-sidecar": ["NET_RAW"],
        "network-gate": ["ALL"],
        "prepare": ["NET_RAW"],
        "sandbox0": ["CHOWN", "NET_RAW"],
    }
    assert spec["containers"][0]["securityContext"]["runAsUser"] == 7


def test_the_sidecar_alone_gets_what_it_proves_itself_with() -> None:
    gated = replace(SETTINGS, gate_seconds=7)
    pod = build(sandbox({"initContainers": [CONTAINER]}), NOTHING, gated, CREDENTIALS)
    sidecar = pod["spec"]["initContainers"].pop(0)
    given = {"name": "ISOLA_SIDECAR_CERTIFICATE", "value": CREDENTIALS.certificate}
    assert given in sidecar["env"]
    # gVisor shows the environment of the sidecar's container to every command started in it.
    assert sidecar["workingDir"] == f"/{CREDENTIALS.key}"
    assert CREDENTIALS.key not in str({**sidecar, "workingDir": ""})
    assert CREDENTIALS.key not in str(pod)
    assert CREDENTIALS.certificate not in str(pod)


def test_the_gate_comes_before_anything_of_the_user_s() -> None:
    gated = replace(
        SETTINGS, gate_seconds=7, canaries=("10.0.0.9:8089",), api_canaries=("10.96.0.1:443",)
    )
    first = {"name": "prepare", "image": "busybox"}
    spec = build(sandbox({"initContainers": [first]}), NOTHING, gated, CREDENTIALS)["spec"]
    names = [c["name"] for c in spec["initContainers"]]
    assert names == ["sandbox-sidecar", "network-gate", "prepare"]
    sidecar, gate, _ = spec["initContainers"]
    told = {each["name"]: each["value"] for each in sidecar["env"]}
    assert told["ISOLA_GATE_CANARIES"] == "10.0.0.9:8089 10.96.0.1:443"
    assert told["ISOLA_GATE_SECONDS"] == "7"
    assert sidecar["terminationMessagePolicy"] == "FallbackToLogsOnError"
    asked = gate["lifecycle"]["postStart"]["httpGet"]["port"]
    assert str(asked) == told["ISOLA_GATE_PORT"]
    # It goes on: a kubelet looks only once a second for what has ended.
    assert gate["restartPolicy"] == "Always"
    # The API server may be behind a public address, which such a sandbox may reach.
    public = build(sandbox(), Network(internet=True), gated, CREDENTIALS)["spec"]
    assert {"name": "ISOLA_GATE_CANARIES", "value": "10.0.0.9:8089"} in public["initContainers"][0][
        "env"
    ]


def test_whom_a_template_s_containers_run_as_says_nothing_of_ours() -> None:
    """Their image says root, which the kubelet refuses where the pod must not run as that."""
    template = {"containers": [CONTAINER], "securityContext": {"runAsNonRoot": True}}
    gated = replace(SETTINGS, gate_seconds=7)
    sidecar, gate = build(sandbox(template), NOTHING, gated, CREDENTIALS)["spec"]["initContainers"]
    assert (sidecar["securityContext"]["runAsUser"], gate["securityContext"]["runAsUser"]) == (
        0,
        65534,
    )
    assert sidecar["securityContext"]["runAsNonRoot"] is False


def test_without_a_gate_nobody_is_asked() -> None:
    (sidecar,) = build(sandbox(), NOTHING, SETTINGS, CREDENTIALS)["spec"]["initContainers"]
    assert "GATE" not in str(sidecar)


def test_the_installation_s_secrets_and_priority_are_added() -> None:
    spec = build(sandbox({"imagePullSecrets": [{"name": "mine"}]}), NOTHING, SETTINGS, CREDENTIALS)[
        "spec"
    ]
    assert spec["imagePullSecrets"] == [{"name": "mine"}, {"name": "registry"}]
    assert spec["priorityClassName"] == "sandboxes"


def test_an_ordinary_template_has_no_faults() -> None:
    pod: dict[str, Any] = {
        "volumes": [{"name": "v", "emptyDir": {}}],
        "initContainers": [{"name": "prepare", "image": "busybox"}],
    }
    assert faults(sandbox(pod).spec, blocked()) == ()
    assert (
        faults(
            {**sandbox().spec, "network": {}, "terminationPolicy": {"type": "Delete"}}, blocked()
        )
        == ()
    )


FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"containers": []}, "containers"),
    ({"containers": None}, "containers"),
    ({"containers": [{"name": "a"}]}, "containers[0].image"),
    ({"containers": [{"image": "i"}]}, "containers[0].name"),
    ({"containers": [{**CONTAINER, "name": "A_B"}]}, "containers[0].name"),
    ({"containers": [CONTAINER, CONTAINER]}, "containers[1].name"),
    *(
        ({"containers": [{**CONTAINER, "name": name}]}, "containers[0].name")
        for name in ("sandbox-sidecar", "network-gate", "archive-gate")
    ),
    ({"hostNetwork": True}, "hostNetwork"),
    ({"hostPID": True}, "hostPID"),
    ({"hostIPC": True}, "hostIPC"),
    ({"serviceAccountName": "admin"}, "serviceAccountName"),
    ({"automountServiceAccountToken": True}, "automountServiceAccountToken"),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "volumes[0].hostPath"),
    ({"volumes": [{"name": "v", "projected": {}}]}, "volumes[0].projected"),
    (
        {"containers": [{**CONTAINER, "securityContext": {"privileged": True}}]},
        "containers[0].securityContext.privileged",
    ),
    (
        {"initContainers": [{"name": "i", "image": "i", "securityContext": {"privileged": 1}}]},
        "initContainers[0].securityContext.privileged",
    ),
    (
        {"containers": [{**CONTAINER, "securityContext": {"capabilities": {"add": ["X"]}}}]},
        "containers[0].securityContext.capabilities.add",
    ),
    (
        {"containers": [{**CONTAINER, "ports": [{"hostPort": 80}]}]},
        "containers[0].ports",
    ),
    ({"ephemeralContainers": [{}]}, "ephemeralContainers"),
    (
        {"containers": [{**CONTAINER, "livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}]},
        "containers[0].livenessProbe.httpGet.host",
    ),
    (
        {"containers": [{**CONTAINER, "lifecycle": {"preStop": {"tcpSocket": {"host": "h"}}}}]},
        "containers[0].lifecycle.preStop.tcpSocket.host",
    ),
]


@pytest.mark.parametrize(("pod", "where"), FAULTY)
def test_a_fault_says_where_it_is(pod: dict[str, Any], where: str) -> None:
    found = faults(sandbox(pod).spec, blocked())
    assert any(each.startswith(f"spec.podTemplate.spec.{where}: ") for each in found), found


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize("key", ["isola.run/a", "x.isola.run/a", "dev.gvisor.flag.network"])
def test_labels_and_annotations_of_ours_and_of_gvisor_are_faults(field: str, key: str) -> None:
    (fault,) = faults(sandbox(**{field: {"team": "a", key: "x"}}).spec, blocked())
    assert fault == f"spec.podTemplate.metadata.{field}: '{key}' is not for templates; remove it"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rootfsSnapshotSources", [{"snapshotName": "s"}]),
        ("terminationPolicy", {"type": "SnapshotRootfs", "snapshotRootfs": {}}),
    ],
)
def test_what_would_not_be_kept_is_not_promised(field: str, value: object) -> None:
    (fault,) = faults({**sandbox().spec, field: value}, blocked())
    assert fault.startswith(f"spec.{field}")


@pytest.mark.parametrize("spec", [{}, {"podTemplate": None}, {"podTemplate": {"spec": [1]}}])
def test_nonsense_has_faults_too(spec: dict[str, Any]) -> None:
    assert faults(spec, blocked())


UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
NOT_READY = {**UNREACHABLE, "key": "node.kubernetes.io/not-ready"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            [],
            [{**UNREACHABLE, "tolerationSeconds": 7}, {**NOT_READY, "tolerationSeconds": 7}],
            id="the installation's patience",
        ),
        pytest.param(
            [UNREACHABLE],
            [UNREACHABLE, {**NOT_READY, "tolerationSeconds": 7}],
            id="a template's own goes first",
        ),
        pytest.param(
            [{"operator": "Exists"}], [{"operator": "Exists"}], id="one that tolerates everything"
        ),
    ],
)
def test_how_long_a_pod_waits_for_its_node(
    given: list[dict[str, str]], expected: list[dict[str, Any]]
) -> None:
    settings = replace(SETTINGS, node_loss_seconds=7)
    assert (
        build(sandbox({"tolerations": given}), NOTHING, settings, CREDENTIALS)["spec"][
            "tolerations"
        ]
        == expected
    )
