"""What of a node gets into which namespace, tried on a real API server; and who writes logs.

Of the mounter's directory, in which all sandboxes' archives are, a pod may have one folder: a
sandbox's gate its own, and only from the operator. Where what touches nodes is, the operator makes
Jobs of snapshots, and those as they should be.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chart.people import Somebody, administrator
from chart.rendering import Chart
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Log
from isola_lifecycle.sandbox.fold import extend
from isola_lifecycle.sandbox.network import NOTHING
from isola_lifecycle.snapshot.state import Source
from isola_operator.credentials import fresh
from isola_operator.manifests.job import JobSettings, adopting, taking
from isola_operator.manifests.pod import PodSettings, build
from isola_store.port import Sandbox, Snapshot
from support.cluster import until
from support.kubernetes_server import ApiServer
from support.store import NOW, SPEC, unique
from support.stories import ACCEPTED, STAGED

pytestmark = pytest.mark.apiserver

RELEASE_NAMESPACE, SANDBOX_NAMESPACE, NODES = "staging-system", "staging", "staging-nodes"
RELEASE = ("isola", "--namespace", RELEASE_NAMESPACE)
ROOT = f"/var/lib/isola/{RELEASE_NAMESPACE}.isola/staged"
VALUES: dict[str, Any] = {
    "sandboxNamespace": {"name": SANDBOX_NAMESPACE},
    "nodeNamespace": {"name": NODES},
    "crds": {"enabled": False},
    "operator": {
        "sandboxRuntime": {
            "rootfssnapshot": {
                "enabled": True,
                "storage": {"type": "s3", "s3": {"bucket": "b"}},
            }
        }
    },
}
SETTINGS = JobSettings(image="u:1", bucket_url="s3://b", service_account="isola-snapshot-uploader")
UID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
JOB_CONTROLLERS = (
    "system:serviceaccount:kube-system:job-controller",
    "system:kube-controller-manager",
)
EVERYTHING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "everything"},
    "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
}

Json = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """Everybody around. All may do everything among the sandboxes, as far as roles go.

    `on_nodes` is the operator where what touches nodes is, with the chart's roles alone.
    """

    admin: Somebody
    alice: Somebody
    operator: Somebody
    mounter: Somebody
    controllers: tuple[Somebody, ...]
    on_nodes: Somebody


@pytest.fixture(scope="module")
def scene(chart: Chart, api_server: ApiServer) -> Iterator[Scene]:
    """The chart, installed with snapshots and its policies."""
    live = replace(chart, kubeconfig=str(api_server.kubeconfig))
    assert api_server.run_kubectl("create", "namespace", SANDBOX_NAMESPACE).returncode == 0
    live.run("install", *RELEASE, ".", "--create-namespace", values=VALUES)
    admin = administrator(api_server, SANDBOX_NAMESPACE)
    operator = f"system:serviceaccount:{RELEASE_NAMESPACE}:isola-operator"
    mounter = f"system:serviceaccount:{NODES}:isola-snapshot-mounter"
    assert admin.create(EVERYTHING) == ""
    for number, user in enumerate(("alice", operator, mounter, *JOB_CONTROLLERS)):
        done = api_server.run_kubectl(
            *("create", f"--namespace={SANDBOX_NAMESPACE}", "rolebinding", f"b{number}"),
            *("--role=everything", f"--user={user}"),
        )
        assert done.returncode == 0, done.stderr
    scene = Scene(
        admin,
        admin.speaking_for("alice"),
        admin.speaking_for(operator),
        admin.speaking_for(mounter),
        tuple(map(admin.speaking_for, JOB_CONTROLLERS)),
        replace(admin.speaking_for(operator), namespace=NODES),
    )
    # The API server takes up policies a moment after they are there.
    for body in (pod("/"), job("/")):
        until(lambda body=body: refused(scene.alice.attempt(body)), seconds=60, what="policies")
    until(lambda: scene.on_nodes.attempt(job("/")), seconds=60, what="the policy on captures")
    until(lambda: not scene.on_nodes.attempt(taken()), seconds=60, what="the role for Jobs")
    # On a server that has just started, one that mutates does not know the definitions yet.
    until(lambda: not admin.attempt(a_sandbox()), seconds=120, what="the mutating policy")
    probe = sandbox(scene)
    until(lambda: append(scene.alice, probe, "alice"), seconds=60, what="writers")
    yield scene
    admin.client.close()
    live.run("uninstall", *RELEASE)
    api_server.run_kubectl("delete", "namespace", SANDBOX_NAMESPACE, "--wait=false")


def pod(path: str, **more: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": unique("pod"), **more},
        "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "v", "hostPath": {"path": path}}],
        },
    }


def job(path: str) -> Json:
    body = pod(path)
    spec = {**body["spec"], "restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": body["metadata"],
        "spec": {"template": {"spec": spec}},
    }


def of_a_sandbox(uid: str = UID) -> Json:
    """Return the pod that the operator makes of a sandbox that starts from a snapshot."""
    spec = {**SPEC, "rootfsSnapshotSources": [{"snapshotName": "base"}]}
    item = Sandbox(
        name=unique("restored"),
        uid=uid,
        generation=1,
        resource_version="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        spec=spec,
    )
    settings = PodSettings(runtime_class="", sidecar_image="s:1", staging_root=ROOT)
    body = build(item, NOTHING, settings, fresh())
    del body["spec"]["runtimeClassName"]  # there is none on this server
    return body


def taken() -> Json:
    """Return the Job that the operator makes of a snapshot."""
    item = Snapshot(
        name=unique("taken"),
        uid=UID,
        generation=1,
        resource_version="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        spec={"sandboxName": "s"},
    )
    source = Source(UID, "n1", "sandbox0", "abc", "i", "i@sha256:1")
    return taking(item, source, SETTINGS)


def made_of(body: Json) -> Json:
    """Return the pod that the Job controller makes of a Job."""
    template = copy.deepcopy(body["spec"]["template"])
    labels = {k: v for k, v in template["metadata"]["labels"].items() if "isola.run" not in k}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": unique("taking"), "labels": labels},
        "spec": template["spec"],
    }


def refused(refusal: str) -> bool:
    return "has anything of its node" in refusal


def test_the_operator_s_pod_of_a_sandbox_is_taken_and_nobody_else_s(scene: Scene) -> None:
    assert scene.operator.attempt(of_a_sandbox()) == ""
    body = of_a_sandbox()
    body["metadata"] = {"name": unique("pod")}  # what only the operator may say of it is left out
    for somebody in (scene.alice, scene.admin, scene.mounter, *scene.controllers):
        assert refused(somebody.attempt(body))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/var/lib",
        "/var/lib/isola",
        ROOT,
        f"{ROOT}/{UID}",
        f"{ROOT}/{UID}/sandbox0.tar",
        f"{ROOT}/{OTHER}/gate",
        f"{ROOT}/{UID}/gate/",
        f"{ROOT}/{UID}/gate/staged",
        f"{ROOT}//{UID}/gate",
        f"{ROOT}/{UID}/./gate",
        "/usr/local/bin/runsc",
    ],
)
def test_not_even_the_operator_gives_a_sandbox_another_folder(scene: Scene, path: str) -> None:
    body = of_a_sandbox()
    body["spec"]["volumes"][0]["hostPath"]["path"] = path
    refusal = scene.operator.attempt(body)
    assert refused(refusal)
    assert f"(hostPath {path})" in refusal


def test_a_pod_that_is_no_sandbox_s_has_no_gate(scene: Scene) -> None:
    body = of_a_sandbox()
    del body["metadata"]["ownerReferences"]
    assert refused(scene.operator.attempt(body))


def test_the_folder_of_the_gate_is_read_by_the_gate_alone(scene: Scene) -> None:
    mount = {"name": "isola-gate", "mountPath": "/x", "readOnly": True}
    greedy, writing = of_a_sandbox(), of_a_sandbox()
    greedy["spec"]["containers"][0]["volumeMounts"] = [mount]
    refusal = scene.operator.attempt(greedy)
    assert "containers sandbox0: the folder of a sandbox's gate is read by the gate" in refusal
    (gate,) = (c for c in writing["spec"]["initContainers"] if c["name"] == "archive-gate")
    gate["volumeMounts"][0]["readOnly"] = False
    assert "containers archive-gate" in scene.operator.attempt(writing)


def test_one_path_more_is_one_too_many(scene: Scene) -> None:
    body = of_a_sandbox()
    body["spec"]["volumes"].append({"name": "w", "hostPath": {"path": "/etc"}})
    refusal = scene.operator.attempt(body)
    assert "spec.volumes: w (hostPath /etc): no pod in this namespace" in refusal


def test_captures_are_made_where_what_touches_nodes_is_and_not_among_sandboxes(
    scene: Scene,
) -> None:
    body = taken()
    assert scene.on_nodes.attempt(body) == ""
    for somebody in (scene.operator, scene.alice, scene.admin, scene.mounter, *scene.controllers):
        assert refused(somebody.attempt(body))
        assert refused(somebody.attempt(made_of(body)))


def adopted() -> Json:
    item = Snapshot(name=unique("a"), uid=UID, generation=1, resource_version="1", created_at=NOW)
    return adopting(item, SETTINGS)


def test_so_are_the_jobs_that_have_nothing_of_a_node(scene: Scene) -> None:
    assert scene.on_nodes.attempt(adopted()) == ""


def test_there_the_operator_makes_nothing_but_jobs(scene: Scene) -> None:
    assert "cannot create resource" in scene.on_nodes.attempt(made_of(taken()))


def the(name: str, body: Json) -> Json:
    spec = body["spec"]["template"]["spec"]
    (found,) = (c for c in (*spec["containers"], *spec["initContainers"]) if c["name"] == name)
    return found


def another_path(body: Json) -> None:
    body["spec"]["template"]["spec"]["volumes"][1]["hostPath"]["path"] = "/etc"


def one_path_more(body: Json) -> None:
    more: Json = {"name": "w", "hostPath": {"path": "/"}}
    body["spec"]["template"]["spec"]["volumes"].append(more)


def the_mounter_s_secret(body: Json) -> None:
    more: Json = {"name": "w", "secret": {"secretName": "s"}}
    body["spec"]["template"]["spec"]["volumes"].append(more)


def gvisor_for_the_uploader(body: Json) -> None:
    the("uploader", body)["volumeMounts"].append({"name": "state", "mountPath": "/x"})


def credentials_for_the_capture(body: Json) -> None:
    the("capture", body)["envFrom"] = [{"secretRef": {"name": "s"}}]


def privileged(body: Json) -> None:
    the("capture", body)["securityContext"] = {"privileged": True}


def a_capability(body: Json) -> None:
    the("capture", body)["securityContext"]["capabilities"]["add"] = ["SYS_ADMIN"]


def an_escalation(body: Json) -> None:
    del the("uploader", body)["securityContext"]["allowPrivilegeEscalation"]


def the_node_s_network(body: Json) -> None:
    body["spec"]["template"]["spec"]["hostNetwork"] = True


def another_account(body: Json) -> None:
    body["spec"]["template"]["spec"]["serviceAccountName"] = "isola-snapshot-mounter"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (another_path, "volumes: runsc: the Job of a snapshot has of its node gVisor"),
        (one_path_more, "volumes: w: the Job of a snapshot has of its node gVisor"),
        (the_mounter_s_secret, "volumes: w: the Job of a snapshot has of its node gVisor"),
        (gvisor_for_the_uploader, "containers uploader: the capture has gVisor of its node"),
        (credentials_for_the_capture, "containers capture: the capture has gVisor of its node"),
        (privileged, "containers capture: nothing in the Job of a snapshot has or gains"),
        (a_capability, "containers capture: nothing in the Job of a snapshot has or gains"),
        (an_escalation, "containers uploader: nothing in the Job of a snapshot has or gains"),
        (the_node_s_network, "neither its node's network nor its memory"),
        (another_account, "runs as the uploader"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_not_even_there_the_operator_makes_a_job_that_could_do_more(
    scene: Scene, change: Callable[[Json], None], complaint: str
) -> None:
    body = json.loads(json.dumps(taken()))  # in which no part is there twice
    change(body)
    assert complaint in scene.on_nodes.attempt(body)


def test_pods_without_anything_of_the_node_are_made_as_before(scene: Scene) -> None:
    body = pod("/")
    ordinary: list[Json] = [{"name": "v", "emptyDir": {}}]
    for volumes in (None, [], ordinary):
        body["spec"]["volumes"] = volumes
        assert scene.alice.attempt(body) == ""


# --- the log -----------------------------------------------------------------------------------


def a_sandbox() -> Json:
    return {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": unique("logged")},
        "spec": SPEC,
    }


def sandbox(scene: Scene) -> Json:
    body = a_sandbox()
    assert scene.admin.create(body) == ""
    return scene.admin.read("Sandbox", body["metadata"]["name"])


def append(somebody: Somebody, item: Json, actor: str) -> str:
    """Try to write a log that ends in what a mounter says; return the refusal, or empty."""
    before = item.get("status", {}).get("conditions", [])
    log = Log(item["metadata"]["uid"])
    log = log.extended(extend(log, [ACCEPTED], at=NOW, generation=1))
    said = replace(STAGED, actor=actor)
    entries = extend(log, [said], at=NOW, generation=1)
    items = [encode(entry) for entry in (*reversed(entries), *reversed(log.entries))]
    body = {"status": {"conditions": items if before else items[-1:]}}
    return somebody.patch("Sandbox", item["metadata"]["name"], body, below="status")


def test_the_mounter_writes_under_its_own_name_and_nobody_under_that(scene: Scene) -> None:
    item = sandbox(scene)
    assert append(scene.operator, item, "operator") == ""  # the first entry
    item = scene.admin.read("Sandbox", item["metadata"]["name"])
    assert "must be mounter" in append(scene.mounter, item, "operator")
    assert "must be operator" in append(scene.operator, item, "mounter")
    assert "none of its components" in append(scene.alice, item, "mounter")
    assert append(scene.mounter, item, "mounter") == ""
