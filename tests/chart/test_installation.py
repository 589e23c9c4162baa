"""The chart on a real API server: installed, upgraded, rolled back, and what outlives it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from isola_lifecycle.archive import Segment, Subject
from isola_lifecycle.codec import encode_segment
from support.store import SANDBOXES, SNAPSHOTS
from support.stories import RUNNING, START, TERMINATED, UID, log_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chart.rendering import Chart
    from support.kubernetes_server import ApiServer
    from support.store import Kind

pytestmark = pytest.mark.apiserver

NAMESPACE = "chart-tests"
RELEASE = ("isola", "--namespace", NAMESPACE)
# Policies would bind all other tests, which write logs as they like: `test_admission` tries them.
QUIET: dict[str, Any] = {"admissionPolicies": {"enabled": False}}
SEVERAL = QUIET | {
    "operator": {"replicaCount": 2},
    "apiGateway": {"replicaCount": 2, "service": {"type": "NodePort", "nodePort": 30080}},
}
SANDBOX = {
    "apiVersion": "sandbox.isola.run/v1alpha1",
    "kind": "Sandbox",
    "metadata": {"name": "survivor", "namespace": "isola-sandboxes"},
    "spec": {"podTemplate": {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}},
}


@pytest.fixture
def installed(chart: Chart, api_server: ApiServer) -> Iterator[Chart]:
    """The chart, installed with its defaults over the definitions that are there already."""
    live = replace(chart, kubeconfig=str(api_server.kubeconfig))
    live.run("install", *RELEASE, ".", "--create-namespace", "--take-ownership", values=QUIET)
    yield live
    live.run("uninstall", *RELEASE, "--ignore-not-found")


def kubectl(api_server: ApiServer, *arguments: str, stdin: str = "") -> str:
    done = api_server.run_kubectl(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(api_server: ApiServer, *arguments: str) -> dict[str, Any]:
    return json.loads(kubectl(api_server, "get", *arguments, "--output=json"))


def may(api_server: ApiServer, account: str, what: str, namespace: str) -> bool:
    """Ask the API server's authorizer; `what` is a verb, a resource and perhaps a flag."""
    subject = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
    done = api_server.run_kubectl(
        "auth", "can-i", *what.split(), subject, f"--namespace={namespace}"
    )
    answer = done.stdout.strip()
    assert answer in {"yes", "no"}, done.stderr
    return answer == "yes"


def test_an_upgrade_and_a_rollback_are_accepted(installed: Chart, api_server: ApiServer) -> None:
    def replicas() -> int:
        found = read(api_server, "deployment", "isola-operator", f"--namespace={NAMESPACE}")
        return found["spec"]["replicas"]

    installed.run("upgrade", *RELEASE, ".", values=SEVERAL)
    assert replicas() == 2
    installed.run("rollback", "isola", "1", "--namespace", NAMESPACE)
    assert replicas() == 1


@pytest.mark.usefixtures("installed")
def test_the_authorizer_keeps_the_control_plane_within_the_sandbox_namespace(
    api_server: ApiServer,
) -> None:
    operator, gateway, sandboxes = "isola-operator", "isola-api-gateway", "isola-sandboxes"
    assert may(api_server, operator, "create pods", sandboxes)
    assert may(api_server, gateway, "create sandboxes.sandbox.isola.run", sandboxes)
    for account in (operator, gateway):
        for namespace in (NAMESPACE, "kube-system"):
            assert not may(api_server, account, "get pods", namespace)
        assert not may(api_server, account, "get secrets", sandboxes)
        assert not may(api_server, account, "create pods --subresource=exec", sandboxes)
    assert not may(api_server, gateway, "get pods", sandboxes)


def test_sandboxes_outlive_an_uninstallation_and_are_taken_up_again(
    installed: Chart, api_server: ApiServer
) -> None:
    kubectl(api_server, "apply", "--filename=-", stdin=json.dumps(SANDBOX))
    try:
        before = read(api_server, "sandbox", "survivor")
        said = installed.run("uninstall", *RELEASE)
        assert "sandboxes.sandbox.isola.run" in said  # the one thing it says it kept
        # No --take-ownership: the labels still name it.
        installed.run("install", *RELEASE, ".", values=QUIET)
        assert read(api_server, "sandbox", "survivor") == before
    finally:
        kubectl(api_server, "delete", "sandbox", "survivor")


@pytest.mark.parametrize(
    "kind", [SANDBOXES, SNAPSHOTS], ids=["SandboxRecord", "RootfsSnapshotRecord"]
)
def test_a_record_outlives_all_else_in_its_namespace_and_another_installation(
    installed: Chart, api_server: ApiServer, kind: Kind
) -> None:
    subject = Subject(name="gone", uid=UID, created_at=START)
    entries = log_of((*RUNNING, TERMINATED)).entries
    segment = Segment(subject=subject, entries=entries, final=True)
    ours = ("--namespace=isola-sandboxes",)
    record = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": kind.resource.record_kind,
        "metadata": {"name": segment.name},
        "spec": encode_segment(segment, kind.resource),
    }
    kubectl(api_server, "create", *ours, "--filename=-", stdin=json.dumps(record))
    which = (kind.resource.record_kind.lower(), segment.name, *ours)
    try:
        before = read(api_server, *which)
        named = ("--namespaced", "--verbs=list,delete", "--output=name")
        kinds = kubectl(api_server, "api-resources", *named).split()
        others = ",".join(each for each in kinds if "record" not in each)
        assert "sandboxes.sandbox.isola.run" in others
        kubectl(api_server, "delete", others, "--all", "--wait=false", *ours)
        installed.run("uninstall", *RELEASE)
        installed.run("install", *RELEASE, ".", values=QUIET)
        assert read(api_server, *which) == before
    finally:
        kubectl(api_server, "delete", *which)


def test_nothing_but_the_definitions_is_left_behind(
    installed: Chart, api_server: ApiServer
) -> None:
    kinds = "deployments,services,roles,rolebindings,networkpolicies,serviceaccounts,pdb,pods"
    # Sandboxes are not the chart's: other tests have left pods of theirs.
    selector = "app.kubernetes.io/part-of=isola,app.kubernetes.io/component!=sandbox"
    ours = ("--all-namespaces", f"--selector={selector}")
    installed.run("upgrade", *RELEASE, ".", values=SEVERAL)
    assert read(api_server, kinds, *ours)["items"]
    installed.run("uninstall", *RELEASE)
    assert read(api_server, kinds, *ours)["items"] == []
    assert read(api_server, "crd", *ours[1:])["items"]
