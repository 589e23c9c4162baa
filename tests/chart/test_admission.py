"""Who asked and who wrote, as the API server vouches for it: the policies, tried by real users."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chart.rendering import Chart
from isola_lifecycle import naming
from isola_lifecycle.archive import Segment, Subject
from isola_lifecycle.codec import encode, encode_segment
from isola_lifecycle.log import Fact, Log
from isola_lifecycle.sandbox.fold import extend
from isola_operator.__main__ import run
from isola_operator.settings import Settings
from support.cluster import until
from support.kubernetes_server import ApiServer, free_port
from support.store import NOW, SANDBOXES, SNAPSHOTS, Kind, unique
from support.stories import ACCEPTED, POD_CREATED, START, log_of

pytestmark = pytest.mark.apiserver

# Namespaces of their own: policies are cluster-wide, and other tests write logs as they like.
RELEASE_NAMESPACE, SANDBOX_NAMESPACE, NODES = "vouching", "vouched", "vouched-nodes"
RELEASE = ("isola", "--namespace", RELEASE_NAMESPACE)
BUCKET = {"enabled": True, "storage": {"type": "gcs", "gcs": {"bucket": "b"}}}
VALUES = {
    "sandboxNamespace": {"name": SANDBOX_NAMESPACE},
    "nodeNamespace": {"name": NODES},
    "crds": {"enabled": False},
    "operator": {"sandboxRuntime": {"rootfssnapshot": BUCKET}},
}
COMPONENTS = {
    "operator": (RELEASE_NAMESPACE, "isola-operator"),
    "gateway": (RELEASE_NAMESPACE, "isola-api-gateway"),
    "uploader": (NODES, "isola-snapshot-uploader"),
}
LOGGED = pytest.mark.parametrize("kind", [SANDBOXES, SNAPSHOTS], ids=["Sandbox", "RootfsSnapshot"])
PREFIX = "isola.run/"
REQUEST = {
    f"{PREFIX}requested-by": "10.0.0.7",
    f"{PREFIX}request-id": "r-1",
    f"{PREFIX}traceparent": "00-1-2-01",
    f"{PREFIX}request-digest": "d-1",
}
ALICE = "alice (Kubernetes API)"


@dataclass(frozen=True)
class Somebody:
    """A user of the API server.

    Attributes:
        server: Which.
        flags: By which kubectl makes them known.
    """

    server: ApiServer
    flags: tuple[str, ...]

    def kubectl(self, *words: str, body: object = None) -> tuple[str, str]:
        """Return what kubectl prints, and what it complains about."""
        stdin = "" if body is None else json.dumps(body)
        done = self.server.run_kubectl(
            f"--namespace={SANDBOX_NAMESPACE}", *self.flags, *words, stdin=stdin
        )
        return done.stdout, done.stderr if done.returncode else ""

    def create(
        self, *flags: str, of: Kind = SANDBOXES, **annotations: str
    ) -> tuple[dict[str, Any], str]:
        """Create an object; return it, or the refusal."""
        body = {
            "apiVersion": "sandbox.isola.run/v1alpha1",
            "kind": of.resource.kind,
            "metadata": {
                "name": unique("asked"),
                "annotations": {**annotations, "team": "a"} if annotations else None,
            },
            "spec": of.spec,
        }
        out, refusal = self.kubectl("create", "-o", "json", "-f", "-", *flags, body=body)
        return json.loads(out or "{}"), refusal

    def patch(self, item: dict[str, Any], body: object, *flags: str) -> str:
        """Patch an object; return the refusal, or empty."""
        patch = f"--patch={json.dumps(body)}"
        return self.kubectl("patch", *named(item), "--type=merge", patch, *flags)[1]

    def append(self, item: dict[str, Any], *facts: Fact, actor: str) -> str:
        """Write a log that begins with these facts; return the refusal, or empty."""
        uid = item["metadata"]["uid"]
        told = [replace(fact, actor=actor) for fact in facts]
        entries = extend(Log(uid), told, at=NOW, generation=1)
        items = [encode(entry) for entry in reversed(entries)]
        return self.patch(item, {"status": {"conditions": items}}, "--subresource=status")


@dataclass(frozen=True)
class Scene:
    """Everybody around."""

    admin: Somebody
    alice: Somebody
    operator: Somebody
    gateway: Somebody
    uploader: Somebody


def named(item: dict[str, Any]) -> tuple[str, str]:
    """Return by which words kubectl knows an object."""
    return item["kind"].lower(), item["metadata"]["name"]


@pytest.fixture(scope="module")
def scene(chart: Chart, api_server: ApiServer) -> Iterator[Scene]:
    """The chart, installed with its policies; Alice may do to sandboxes whatever there is."""
    live = replace(chart, kubeconfig=str(api_server.kubeconfig))
    admin = Somebody(api_server, ())
    admin.kubectl("create", "namespace", SANDBOX_NAMESPACE)
    live.run("install", *RELEASE, ".", "--create-namespace", values=VALUES)

    def account(namespace: str, name: str) -> Somebody:
        token, refusal = admin.kubectl("create", "token", name, f"--namespace={namespace}")
        assert refusal == ""
        return Somebody(api_server, (f"--token={token.strip()}",))

    ours = [each for kind in (SANDBOXES, SNAPSHOTS) for each in resources_of(kind)]
    admin.kubectl("create", "role", "alice", "--verb=*", f"--resource={','.join(ours)}")
    admin.kubectl("create", "rolebinding", "alice", "--role=alice", "--user=alice")
    # kubectl reads what it patches; the components themselves do not. And policies are to refuse
    # what roles would refuse before them.
    accounts = [f"--serviceaccount={':'.join(account)}" for account in COMPONENTS.values()]
    admin.kubectl("create", "rolebinding", "components", "--role=alice", *accounts)
    alice = Somebody(api_server, ("--as=alice",))
    scene = Scene(admin, alice, *(account(*each) for each in COMPONENTS.values()))
    # The API server takes up roles and policies a moment after they are there.
    for kind in (SANDBOXES, SNAPSHOTS):
        until(lambda of=kind: not _refused(alice, of), seconds=60, what="the role")
        until(lambda of=kind: _asked_so_far(alice, of), seconds=60, what="the mutating policy")
    until(
        lambda: alice.create("--dry-run=server", of=SANDBOXES, **REQUEST)[1],
        seconds=60,
        what="callers",
    )
    probe, _ = admin.create()
    until(lambda: alice.append(probe, ACCEPTED, actor="alice"), seconds=60, what="writers")
    yield scene
    live.run("uninstall", *RELEASE)
    admin.kubectl("delete", "namespace", SANDBOX_NAMESPACE, "--wait=false")


def _refused(somebody: Somebody, kind: Kind, **annotations: str) -> str:
    return somebody.create("--dry-run=server", of=kind, **annotations)[1]


def _asked_so_far(somebody: Somebody, kind: Kind) -> str:
    # Between two definitions of a chart an API server may not know the first one for a moment.
    item, refusal = somebody.create("--dry-run=server", of=kind)
    return "" if refusal else asked_by(item)


def resources_of(kind: Kind) -> tuple[str, ...]:
    plural, group = kind.resource.plural, naming.GROUP
    records = f"{kind.resource.record_plural}.{group}"
    return f"{plural}.{group}", f"{plural}.{group}/status", records


def asker(somebody: Somebody, kind: Kind = SANDBOXES) -> str:
    """Return who asked for what somebody creates, as the object says."""
    item, refusal = somebody.create("--dry-run=server", of=kind)
    assert refusal == ""
    return asked_by(item)


def asked_by(sandbox: dict[str, Any]) -> str:
    annotations: dict[str, str] = sandbox["metadata"].get("annotations", {})
    return annotations.get(f"{PREFIX}requested-by", "")


@LOGGED
def test_the_api_server_writes_who_creates_something_whatever_they_say(
    scene: Scene, kind: Kind
) -> None:
    assert asker(scene.alice, kind) == ALICE
    assert asker(scene.admin, kind) == "tests (Kubernetes API)"
    forged, _ = scene.alice.create(of=kind, **{f"{PREFIX}requested-by": "bob (Kubernetes API)"})
    assert asked_by(forged) == ALICE
    assert forged["metadata"]["annotations"]["team"] == "a"


@LOGGED
def test_the_gateway_alone_tells_of_callers_and_requests_of_its_own(
    scene: Scene, kind: Kind
) -> None:
    item, refusal = scene.gateway.create(of=kind, **REQUEST)
    assert refusal == ""
    assert REQUEST.items() <= item["metadata"]["annotations"].items()
    assert asker(scene.gateway, kind) == ""  # and what it does not tell, nobody adds


def test_for_the_snapshots_of_a_termination_policy_the_operator_does_so_too(scene: Scene) -> None:
    snapshot, refusal = scene.operator.create(of=SNAPSHOTS, **REQUEST)
    assert refusal == ""
    assert REQUEST.items() <= snapshot["metadata"]["annotations"].items()
    whom = f"system:serviceaccount:{RELEASE_NAMESPACE}:isola-operator (Kubernetes API)"
    assert asker(scene.operator) == whom  # of sandboxes it hands on nothing


@pytest.mark.parametrize("key", ["request-id", "traceparent", "request-digest"])
@LOGGED
def test_nobody_else_tells_of_a_request_to_the_gateway(scene: Scene, kind: Kind, key: str) -> None:
    for somebody in (scene.alice, scene.admin, scene.uploader):
        _, refusal = somebody.create(of=kind, **{f"{PREFIX}{key}": "x"})
        assert "tell of a request to Isola's gateway, which alone writes them" in refusal


@pytest.mark.parametrize("value", ["mallory", None])
@pytest.mark.parametrize("key", list(REQUEST))
@LOGGED
def test_what_was_told_at_creation_stays(
    scene: Scene, kind: Kind, key: str, value: str | None
) -> None:
    item, _ = scene.gateway.create(of=kind, **REQUEST)
    for somebody in (scene.alice, scene.admin, scene.operator):
        refusal = somebody.patch(item, {"metadata": {"annotations": {key: value}}})
        assert "are written with the object and stay as they are" in refusal
    other, _ = scene.alice.create(of=kind)
    change = {"metadata": {"annotations": {f"{PREFIX}request-id": "r-2"}}}
    assert "stay as they are" in scene.alice.patch(other, change)


@LOGGED
def test_everything_else_about_it_can_be_changed_as_before(scene: Scene, kind: Kind) -> None:
    item, _ = scene.gateway.create(of=kind, **REQUEST)
    change = {"metadata": {"annotations": {"team": "b"}, "labels": {"a": "b"}}}
    assert scene.alice.patch(item, change) == ""
    assert scene.operator.patch(item, {"metadata": {"finalizers": ["a.example/b"]}}) == ""
    assert scene.operator.patch(item, {"metadata": {"finalizers": None}}) == ""
    assert scene.alice.kubectl("delete", *named(item))[1] == ""


@LOGGED
def test_nobody_writes_a_log_but_isola_s_components(scene: Scene, kind: Kind) -> None:
    item, _ = scene.alice.create(of=kind)
    for somebody, name in ((scene.alice, "alice"), (scene.admin, "tests")):
        refusal = somebody.append(item, ACCEPTED, actor="operator")
        assert f"logs are written by Isola alone, and {name} is none of its components" in refusal


@pytest.mark.parametrize("actor", ["operator", "operator on behalf of 10.0.0.7"])
@LOGGED
def test_each_component_writes_under_its_own_name(scene: Scene, kind: Kind, actor: str) -> None:
    item, _ = scene.alice.create(of=kind)
    refusal = scene.gateway.append(item, ACCEPTED, actor=actor)
    assert "the actor of this one must be gateway, by itself or on behalf of somebody" in refusal
    assert scene.operator.append(item, ACCEPTED, actor=actor) == ""
    mine = actor.replace("operator", "gateway")
    other, _ = scene.alice.create(of=kind)
    assert "must be operator" in scene.operator.append(other, ACCEPTED, actor=mine)
    assert "must be operator" in scene.operator.append(other, ACCEPTED, actor=f"{actor[:8]}s")
    assert scene.gateway.append(other, ACCEPTED, actor=mine) == ""


def test_the_uploader_is_one_of_them(scene: Scene) -> None:
    snapshot, _ = scene.alice.create(of=SNAPSHOTS)
    refusal = scene.uploader.append(snapshot, ACCEPTED, actor="operator")
    assert "the actor of this one must be uploader" in refusal
    assert scene.uploader.append(snapshot, ACCEPTED, actor="uploader") == ""


@LOGGED
def test_entries_of_others_that_are_there_already_do_not_count(scene: Scene, kind: Kind) -> None:
    item, _ = scene.alice.create(of=kind)
    assert scene.operator.append(item, ACCEPTED, actor="operator") == ""
    uid = item["metadata"]["uid"]
    first = extend(Log(uid), [ACCEPTED], at=NOW, generation=1)
    log = Log(uid, first)
    second = extend(log, [replace(POD_CREATED, actor="gateway")], at=NOW, generation=1)
    items = [encode(entry) for entry in (*second, *first)]
    body = {"status": {"conditions": items}}
    assert scene.gateway.patch(item, body, "--subresource=status") == ""


@LOGGED
def test_records_are_the_operator_s(scene: Scene, kind: Kind) -> None:
    uid = "33333333-3333-4333-8333-333333333333"
    subject = Subject(name="forged", uid=uid, created_at=START)
    segment = Segment(subject=subject, entries=log_of((ACCEPTED,)).entries)
    body = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": kind.resource.record_kind,
        "metadata": {"name": segment.name},
        "spec": encode_segment(segment, kind.resource),
    }
    _, refusal = scene.alice.kubectl("create", "-f", "-", body=body)
    assert "alice is none of its components" in refusal
    for somebody in (scene.gateway, scene.uploader):
        _, refusal = somebody.kubectl("create", "-f", "-", body=body)
        assert "records are written by Isola's operator alone" in refusal
    assert scene.operator.kubectl("create", "-f", "-", body=body)[1] == ""


def test_other_namespaces_are_left_alone(scene: Scene) -> None:
    elsewhere = Somebody(scene.admin.server, ("--namespace=default",))
    sandbox, refusal = elsewhere.create(of=SANDBOXES, **REQUEST)
    assert refusal == ""
    assert REQUEST.items() <= sandbox["metadata"]["annotations"].items()
    assert elsewhere.append(sandbox, ACCEPTED, actor="tests") == ""


@asynccontextmanager
async def operating(scene: Scene, folder: Path) -> AsyncGenerator[None]:
    """Run the operator under its own service account."""
    config = folder / "kubeconfig"
    config.write_text(scene.admin.server.kubeconfig.read_text())
    token = scene.operator.flags[0].removeprefix("--token=")
    scene.admin.server.run_kubectl("config", "unset", "users", f"--kubeconfig={config}")
    scene.admin.server.run_kubectl(
        "config", "set-credentials", "tests", f"--token={token}", f"--kubeconfig={config}"
    )
    settings = Settings(
        namespace=SANDBOX_NAMESPACE,
        own_namespace=RELEASE_NAMESPACE,
        sidecar_image="sidecar:1",
        kubeconfig=str(config),
        admission_policies=True,
        metrics_port=free_port(),
        health_port=free_port(),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def entry(scene: Scene, item: dict[str, Any], about: str) -> dict[str, Any]:
    """Return the first entry of a type, once it is there."""

    def found() -> Any:
        out, _ = scene.admin.kubectl("get", *named(item), "-o", "json")
        entries = json.loads(out).get("status", {}).get("conditions", [])
        return next((e for e in reversed(entries) if e["type"] == about), None)

    return await asyncio.to_thread(lambda: until(found, seconds=60, what=about))


@LOGGED
async def test_the_first_entry_names_whoever_created_it_with_kubectl(
    scene: Scene, tmp_path: Path, kind: Kind
) -> None:
    by_alice, _ = scene.alice.create(of=kind)
    by_gateway, _ = scene.gateway.create(of=kind, **REQUEST)
    async with operating(scene, tmp_path):
        accepted = await entry(scene, by_alice, "Accepted")
        assert accepted["actor"] == f"operator on behalf of {ALICE}"
        assert "requestId" not in accepted
        accepted = await entry(scene, by_gateway, "Accepted")
        assert accepted["actor"] == "operator on behalf of 10.0.0.7"
        assert accepted["requestId"] == "r-1"


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        pytest.param(SANDBOXES, "TerminationRequested", id="Sandbox"),
        pytest.param(SNAPSHOTS, "DeletionRequested", id="RootfsSnapshot"),
    ],
)
async def test_who_deletes_with_kubectl_is_stated_as_unknown(
    scene: Scene, tmp_path: Path, kind: Kind, asked: str
) -> None:
    item, _ = scene.alice.create(of=kind)
    held: dict[str, Any] = {"metadata": {"finalizers": ["example.com/until-it-is-read"]}}
    assert scene.alice.patch(item, held) == ""
    async with operating(scene, tmp_path):
        await entry(scene, item, "Accepted")
        assert scene.alice.kubectl("delete", *named(item), "--wait=false")[1] == ""
        told = await entry(scene, item, asked)
        assert scene.alice.patch(item, {"metadata": {"finalizers": None}}) == ""
        assert told["actor"] == "operator on behalf of unknown (Kubernetes API)"
        assert told["reason"] == "ObjectDeleted"


def test_without_the_mutating_policy_nobody_can_say_but_their_own_name(scene: Scene) -> None:
    """As on Kubernetes before 1.36; the last of these tests, because it takes the policy away."""
    binding = ("mutatingadmissionpolicybinding", f"{RELEASE_NAMESPACE}.isola.callers")
    assert scene.admin.kubectl("delete", *binding)[1] == ""
    until(lambda: not asker(scene.alice), seconds=60, what="the policy is gone")
    key = f"{PREFIX}requested-by"
    _, refusal = scene.alice.create(of=SANDBOXES, **{key: "bob (Kubernetes API)"})
    assert f"isola.run/requested-by says who asks, and you are {ALICE}: leave it out" in refusal
    assert asked_by(scene.alice.create(of=SANDBOXES, **{key: ALICE})[0]) == ALICE
