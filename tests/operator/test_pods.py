"""Pods as the kubelet and the scheduler write them."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from isola_lifecycle import naming
from isola_lifecycle.sandbox.observation import Container, PodPhase
from isola_operator.credentials import fresh
from isola_operator.pods import decode_pod

METADATA: dict[str, Any] = {
    "name": "s-pod",
    "uid": "p-1",
    "ownerReferences": [
        {"kind": "Sandbox", "name": "x", "uid": "other"},
        {"kind": "Sandbox", "name": "s", "uid": "u-1", "controller": True},
    ],
}
SPEC: dict[str, Any] = {"nodeName": "n1", "containers": [{"name": "sandbox0", "image": "python"}]}


def pod(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": METADATA, "spec": {**SPEC, **spec}, "status": status}


def test_a_running_pod() -> None:
    owned = decode_pod(
        pod(
            {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "initContainerStatuses": [{"name": "sandbox-sidecar", "ready": True}],
                "containerStatuses": [
                    {"name": "sandbox0", "ready": True, "state": {"running": {}}}
                ],
            }
        )
    )
    assert owned.owner_uid == "u-1"
    seen = owned.pod
    assert (seen.phase, seen.node, seen.ip) == (PodPhase.RUNNING, "n1", "10.0.0.1")
    assert seen.ready
    assert seen.sidecar_ready
    assert seen.containers == (
        Container(name="sandbox0", image="python", running=True, ready=True),
    )


def test_a_pod_nobody_has_looked_at_yet() -> None:
    seen = decode_pod({"metadata": {"name": "s-pod", "uid": "p-1"}}).pod
    assert (seen.phase, seen.node, seen.containers) == (PodPhase.PENDING, "", ())


def test_the_sidecar_s_certificate_is_told_by_its_digest() -> None:
    certificate = fresh().certificate
    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    variable = {"name": "ISOLA_SIDECAR_CERTIFICATE", "value": certificate}
    sidecar = {"name": "sandbox-sidecar", "env": [{"name": "A", "value": "1"}, variable]}
    forged = {"name": "prepare", "env": [{**variable, "value": fresh().certificate}]}

    seen = decode_pod(pod({}, initContainers=[forged, sidecar])).pod
    assert seen.sidecar_certificate == sha256(der).hexdigest()


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"env": []},
        {"env": [{"name": "ISOLA_SIDECAR_CERTIFICATE"}]},
        {"env": [{"name": "ISOLA_SIDECAR_CERTIFICATE", "value": "none"}]},
    ],
)
def test_a_sidecar_of_an_older_release_has_no_certificate(env: dict[str, Any]) -> None:
    sidecar = {"name": "sandbox-sidecar", **env}
    assert decode_pod(pod({}, initContainers=[sidecar])).pod.sidecar_certificate == ""


def test_a_pod_without_a_node_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}
    assert decode_pod(pod({"conditions": [condition]})).pod.unschedulable == "0/2 nodes"


def test_a_container_that_waits_or_ended_says_why() -> None:
    def container(state: dict[str, Any]) -> Container:
        status = {"containerStatuses": [{"name": "sandbox0", "state": state}]}
        return decode_pod(pod(status)).pod.containers[0]

    waiting = container({"waiting": {"reason": "ErrImagePull", "message": "not found"}})
    assert (waiting.waiting_reason, waiting.waiting_message) == ("ErrImagePull", "not found")
    ended = container({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    assert (ended.exit_code, ended.exit_reason) == (137, "OOMKilled")


@pytest.mark.parametrize("when", ["state", "lastState"])
@pytest.mark.parametrize(
    ("started", "told"),
    [
        pytest.param({"waiting": {}}, "still reached a:1", id="nothing runs"),
        pytest.param(
            {"running": {"startedAt": "2026-11-27T10:00:04Z"}},
            "still reached a:1",
            id="let through",
        ),
        pytest.param(
            {"terminated": {"startedAt": "2026-11-27T10:00:04Z"}}, "still reached a:1", id="ended"
        ),
        pytest.param(
            {"running": {"startedAt": "2026-11-27T10:00:05Z"}}, "", id="the next one saw it"
        ),
    ],
)
def test_a_network_that_was_not_seen_closed_is_told_unless_it_was_before_anything_started(
    when: str, started: dict[str, Any], told: str
) -> None:
    """A sidecar that gave up is started anew, and may see it in force the next time."""
    ended = {
        "exitCode": naming.GATE_NOT_ENFORCED,
        "finishedAt": "2026-11-27T10:00:05Z",
        "message": "still reached a:1\n",
    }
    status = {
        "initContainerStatuses": [{"name": naming.SIDECAR_CONTAINER, when: {"terminated": ended}}],
        "containerStatuses": [{"name": "sandbox0", "state": started}],
    }
    assert decode_pod(pod(status)).pod.unenforced == told


def test_a_disruption_is_told() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "R", "message": "m"}
    seen = decode_pod(pod({"conditions": [condition]})).pod
    assert (seen.disruption_reason, seen.disruption) == ("R", "m")
    over = {**condition, "status": "False"}
    assert decode_pod(pod({"conditions": [over]})).pod.disruption_reason == ""


@pytest.mark.parametrize(
    ("ready", "containers", "unreachable"),
    [
        pytest.param({"status": "False"}, "True", True, id="taken by the node controller"),
        pytest.param({"status": "True"}, "True", False, id="ready"),
        pytest.param({"status": "False"}, "False", False, id="a container is not"),
        pytest.param(
            {"status": "False", "reason": "ReadinessGatesNotReady"}, "True", False, id="a gate"
        ),
        pytest.param({}, "True", False, id="not yet told"),
    ],
)
def test_readiness_that_goes_alone_is_the_node_s(
    ready: dict[str, str], containers: str, *, unreachable: bool
) -> None:
    conditions = [{"type": "ContainersReady", "status": containers}]
    conditions += [{"type": "Ready", **ready}] if ready else []
    assert decode_pod(pod({"conditions": conditions})).pod.unreachable is unreachable


def test_a_pod_on_its_way_out_says_when_it_is_due() -> None:
    leaving = {**METADATA, "deletionTimestamp": "2026-05-04T03:02:01Z"}
    seen = decode_pod({"metadata": leaving}).pod
    assert seen.deleting
    assert seen.deletion_due == datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("phase", ["Unknown", "SomethingNew"])
def test_a_phase_of_a_newer_kubernetes_is_unknown(phase: str) -> None:
    assert decode_pod(pod({"phase": phase})).pod.phase == PodPhase.UNKNOWN
