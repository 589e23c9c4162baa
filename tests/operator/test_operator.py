"""The whole operator on a real API server, without nodes: the test is scheduler and kubelet."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from isola_lifecycle.archive import Segment, rest, whole
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import encode
from isola_lifecycle.errors import LifecycleError, NotFoundError, RejectedError, TransientError
from isola_lifecycle.log import LIVE_ENTRIES, Condition
from isola_lifecycle.naming import PLURAL, SIDECAR_CONTAINER
from isola_lifecycle.sandbox.conditions import Phase
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.intents import Asker, change_lifetime
from isola_operator.__main__ import run, utc_now
from isola_operator.pods import decode_pod
from isola_operator.settings import Settings
from isola_operator.sweep import Sweep
from isola_store.client import MERGE_PATCH, KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes, sandboxes_path
from isola_store.port import Draft, Sandbox
from isola_store.records import KubernetesRecords
from support.etcd import Etcd
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.store import SPEC, unique
from support.stories import PENDING, log_of

pytestmark = pytest.mark.apiserver

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LIFE = [
    "Accepted",
    "NetworkConfigured",
    "PodCreated",
    "Scheduled",
    "Started",
    "Ready",
    "TerminationRequested",
    "Ready",
    "Terminated",
]


@dataclass
class Scene:
    """An API server, and whoever else is around."""

    client: KubernetesClient
    store: KubernetesSandboxes
    records: KubernetesRecords
    kubeconfig: str

    def settings(self, **changes: Any) -> Settings:
        defaults: dict[str, Any] = {
            "namespace": NAMESPACE,
            "own_namespace": "default",
            "sidecar_image": "sidecar:1",
            "admission_policies": True,  # so that what a test says of its caller is believed
            "kubeconfig": self.kubeconfig,
            "metrics_port": free_port(),
            "health_port": free_port(),
        }
        return Settings(**{**defaults, **changes})

    @asynccontextmanager
    async def operator(self, **changes: Any) -> AsyncGenerator[Settings]:
        stop, settings = asyncio.Event(), self.settings(**changes)
        task = asyncio.create_task(run(settings, stop))
        try:
            yield settings
        finally:
            stop.set()
            await task

    async def kubelet_says(self, name: str, status: dict[str, Any]) -> None:
        path = f"{PODS}/{name}-pod"
        await self.client.request(
            "PATCH", f"{path}/status", {"status": status}, content_type=MERGE_PATCH
        )

    async def schedule(self, name: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
        body = {"metadata": {"name": f"{name}-pod"}, "target": target}
        await self.client.request("POST", f"{PODS}/{name}-pod/binding", body)

    async def start(self, name: str) -> None:
        await self.schedule(name)
        await self.kubelet_says(
            name,
            {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "podIPs": [{"ip": "10.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [container(running={"startedAt": "2026-01-01T00:00:00Z"})],
            },
        )

    async def exit(self, name: str, code: int) -> None:
        phase = "Failed" if code else "Succeeded"
        ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
        conditions = [{"type": "Ready", "status": "False"}]
        status = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [container(terminated=ended)],
        }
        await self.kubelet_says(name, status)

    async def node_goes_silent(self, name: str, **disruption: str) -> None:
        conditions = [
            {"type": "Ready", "status": "False"},
            {"type": "ContainersReady", "status": "True"},
        ]
        if disruption:
            conditions.append({"type": "DisruptionTarget", "status": "True", **disruption})
        await self.kubelet_says(name, {"conditions": conditions})

    async def certificate(self, name: str) -> str:
        """Return the digest of what the sidecar in the pod that is there proves itself with."""
        pod = await self.client.request("GET", f"{PODS}/{name}-pod")
        return decode_pod(pod).pod.sidecar_certificate

    async def kill_pod(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        await self.client.request("DELETE", f"{PODS}/{name}-pod", body)

    async def until(
        self, name: str, done: Callable[[Sandbox], bool], seconds: float = 15
    ) -> Sandbox:
        sandbox = await self.store.read(name)
        async with asyncio.timeout(seconds):
            while not done(sandbox):
                await asyncio.sleep(0.02)
                sandbox = await self.store.read(name)
        return sandbox

    async def history(self, name: str) -> tuple[Condition, ...]:
        """Return what the archive tells of a sandbox that is gone, its chain verified."""
        segments = await self.records.read(name)
        assert segments[-1].final
        entries = whole(segments)
        uid = segments[0].subject.uid
        assert [e.sequence for e in entries] == list(range(1, len(entries) + 1))
        assert faults(uid, [encode(e) for e in entries]) == ()
        return entries

    async def gone(self, name: str) -> None:
        async with asyncio.timeout(15):
            while True:
                try:
                    await self.store.read(name)
                    await asyncio.sleep(0.02)
                except NotFoundError:
                    break
        with pytest.raises(NotFoundError):
            await self.client.request("GET", f"{PODS}/{name}-pod")


def container(name: str = "sandbox0", **state: object) -> dict[str, Any]:
    ready = "running" in state
    return {
        "name": name,
        "image": "i",
        "imageID": "i",
        "ready": ready,
        "restartCount": 0,
        "state": state,
    }


def recorded(about: str, reason: str = "") -> Callable[[Sandbox], bool]:
    return lambda sandbox: any(
        e.type == about and (not reason or e.reason == reason) for e in sandbox.log
    )


def types(sandbox: Sandbox) -> list[str]:
    return [e.type for e in sandbox.log]


@pytest.fixture
async def scene(api_server: ApiServer) -> AsyncGenerator[Scene]:
    kubeconfig = str(api_server.kubeconfig)
    async with await KubernetesClient.connect(kubeconfig) as client:
        account = {"metadata": {"name": "default"}}
        try:
            path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
            await client.request("POST", path, account)
            runtime = {"metadata": {"name": "gvisor"}, "handler": "runsc"}
            await client.request("POST", "/apis/node.k8s.io/v1/runtimeclasses", runtime)
        except LifecycleError:
            pass  # a test before this one has made them
        store = KubernetesSandboxes(client, NAMESPACE)
        yield Scene(client, store, KubernetesRecords(client, NAMESPACE), kubeconfig)


async def create(scene: Scene, **spec: object) -> str:
    name = unique("operator")
    draft = Draft(
        name=name,
        spec={**SPEC, **spec},
        caller="10.0.0.7",
        request_id="r-1",
        traceparent=TRACEPARENT,
    )
    await scene.store.create(draft)
    return name


async def test_a_life_from_creation_to_kubectl_delete(scene: Scene) -> None:
    async with scene.operator():
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        sandbox = await scene.until(name, recorded("Ready"))
        assert types(sandbox) == LIFE[:6]
        assert sandbox.log.entries[0].actor == "operator on behalf of 10.0.0.7"
        assert sandbox.log.entries[0].request_id == "r-1"
        assert sandbox.log.entries[0].data["traceparent"] == TRACEPARENT
        assert sandbox.log.entries[2].data["sidecarCertificate"] == await scene.certificate(name)
        assert sandbox.log.entries[5].data["podIP"] == "10.0.0.1"
        await scene.store.delete(name, uid=sandbox.uid)
        leaving = await scene.until(name, recorded("TerminationRequested", "ObjectDeleted"))
        await scene.kill_pod(name)
        await scene.gone(name)
        assert types(leaving)[:7] == LIFE[:7]
        assert [e.type for e in await scene.history(name)] == LIFE


async def test_an_operator_killed_between_any_two_steps_leaves_a_log_without_a_gap(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request of one life fails once, before or after it took effect."""
    requests = 0
    real = KubernetesClient.request

    async def dying(self: KubernetesClient, method: str, *arguments: Any, **named: Any) -> Any:
        nonlocal requests
        if self is scene.client or method == "GET":
            return await real(self, method, *arguments, **named)
        requests += 1
        if requests % 3 == 1:
            raise TransientError("lost on the way there")
        answer = await real(self, method, *arguments, **named)
        if requests % 3 == 2:
            raise TransientError("lost on the way back")
        return answer

    monkeypatch.setattr(KubernetesClient, "request", dying)
    async with scene.operator():
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        sandbox = await scene.until(name, recorded("Ready"))
        assert types(sandbox) == LIFE[:6]
        # Of the pod that is there, however many attempts there were to make it.
        assert sandbox.log.entries[2].data["sidecarCertificate"] == await scene.certificate(name)
        await scene.store.delete(name, uid=sandbox.uid)
        await scene.until(name, recorded("TerminationRequested"))
        await scene.kill_pod(name)
        await scene.gone(name)
    assert requests > 7
    assert [e.type for e in await scene.history(name)] == LIFE


async def test_two_operators_record_everything_once(scene: Scene) -> None:
    async with scene.operator(), scene.operator():
        names = [await create(scene) for _ in range(10)]
        for name in names:
            await scene.until(name, recorded("PodCreated"))
            await scene.start(name)
        for name in names:
            sandbox = await scene.until(name, recorded("Ready"))
            assert types(sandbox) == LIFE[:6]
            assert faults(sandbox.uid, [encode(e) for e in sandbox.log]) == ()


async def test_an_operator_that_was_away_catches_up(scene: Scene) -> None:
    async with scene.operator():
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
    await scene.start(name)
    await scene.exit(name, 3)
    async with scene.operator():
        sandbox = await scene.until(name, recorded("Succeeded"))
    assert types(sandbox) == [*LIFE[:5], "ContainerExited", "Succeeded"]
    assert sandbox.log.entries[-1].data["exitCode"] == "3"


async def test_one_container_that_exits_is_told_and_does_not_end_the_others(scene: Scene) -> None:
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    exited = {"terminated": {"exitCode": 3, "reason": "Error"}}
    both = [{"name": f"sandbox{n}", "image": "i"} for n in range(2)]
    async with scene.operator():
        name = await create(scene, podTemplate={"spec": {"containers": both}})
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        everything = {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "initContainerStatuses": [container(SIDECAR_CONTAINER, **running)],
        }
        states = [container("sandbox0", **running), container("sandbox1", **running)]
        await scene.kubelet_says(name, {**everything, "containerStatuses": states})
        await scene.until(name, recorded("Ready"))
        # The pod as a whole is not ready any more, and its second container is.
        states[0] = container("sandbox0", **exited)
        unready = [{"type": "Ready", "status": "False"}]
        await scene.kubelet_says(
            name, {**everything, "conditions": unready, "containerStatuses": states}
        )
        sandbox = await scene.until(name, recorded("ContainerExited", "Error"))
        assert sandbox.log.newest
        assert sandbox.log.newest.data["container"] == "sandbox0"
        assert fold(sandbox.log).phase is Phase.RUNNING
        states[1] = container("sandbox1", terminated={"exitCode": 0, "reason": "Completed"})
        await scene.kubelet_says(
            name, {"phase": "Failed", "conditions": unready, "containerStatuses": states}
        )
        sandbox = await scene.until(name, recorded("Succeeded"))
        assert types(sandbox)[-4:] == ["ContainerExited", "ContainerExited", "Ready", "Succeeded"]
        last = sandbox.log.entries[-1].data
        assert (last["container"], last["exitCode"]) == ("sandbox0", "3")


async def test_a_pod_that_vanishes_ends_its_sandbox(scene: Scene) -> None:
    async with scene.operator():
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        await scene.until(name, recorded("Ready"))
        await scene.kill_pod(name)
        sandbox = await scene.until(name, recorded("Succeeded", "PodDeleted"))
        assert types(sandbox)[-2:] == ["Ready", "Succeeded"]


async def test_a_lost_node_is_told_and_its_sandbox_can_be_deleted_without_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "isola_lifecycle.sandbox.leaving.LOST_NODE_PATIENCE", timedelta(seconds=-30)
    )
    async with scene.operator():
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        await scene.until(name, recorded("Ready", "PodReady"))
        await scene.node_goes_silent(name)
        silent = await scene.until(name, recorded("Ready", "NodeUnreachable"))
        assert "Node n1" in silent.log.entries[-1].message
        reason = "DeletionByTaintManager"
        await scene.node_goes_silent(name, reason=reason, message="no-execute taint")
        await scene.client.request("DELETE", f"{PODS}/{name}-pod")  # nobody ever confirms it
        lost = await scene.until(name, recorded("Succeeded", "NodeLost"))
        assert (await scene.client.request("GET", f"{PODS}/{name}-pod"))["metadata"]
        await scene.store.delete(name, uid=lost.uid)
        await scene.gone(name)


async def flap(scene: Scene, name: str, times: int) -> Sandbox:
    """Take readiness away and give it back so many times, each seen by the operator."""
    sandbox = await scene.store.read(name)
    for _ in range(times):
        for ready in (False, True):
            conditions = [{"type": "Ready", "status": str(ready)}]
            await scene.kubelet_says(name, {"conditions": conditions})
            sandbox = await scene.until(name, lambda s, r=ready: fold(s.log).ready is r)
    return sandbox


async def test_a_long_life_is_kept_whole_in_a_bounded_object(
    scene: Scene, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write of a record is lost twice, on the way there and on the way back."""
    writes: Counter[str] = Counter()
    real = KubernetesRecords.write

    async def losing(self: KubernetesRecords, segment: Segment) -> Segment:
        writes[segment.name] += 1
        attempt = writes[segment.name]
        if attempt == 1:
            raise TransientError("lost on the way there")
        written = await real(self, segment)
        if attempt == 2:
            raise TransientError("lost on the way back")
        return written

    monkeypatch.setattr(KubernetesRecords, "write", losing)
    monkeypatch.setattr("isola_lifecycle.keeping.ARCHIVE_RETRY", timedelta(seconds=0.1))
    monkeypatch.setattr("isola_lifecycle.sandbox.decide.ROLL_OVER_RETRY", timedelta(seconds=0.1))
    async with scene.operator(), scene.operator():
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        await scene.until(name, recorded("Ready", "PodReady"))
        sandbox = await flap(scene, name, 60)
        assert sandbox.log.archived >= 48
        assert len(sandbox.log) <= LIVE_ENTRIES
        state = fold(sandbox.log)
        assert (state.ready, state.node, state.phase) == (True, "n1", "Running")
        listed = api_server.run_kubectl("get", "sandbox", name).stdout.splitlines()
        assert listed[1].split()[:4] == [name, "Running", "PodReady", "n1"]
        await scene.store.delete(name, uid=sandbox.uid)
        await scene.until(name, recorded("TerminationRequested"))
        await scene.kill_pod(name)
        await scene.gone(name)
    entries = await scene.history(name)
    assert [e.type for e in entries if e.type not in {"Ready", "Archived"}] == [
        *LIFE[:5],
        "TerminationRequested",
        "Terminated",
    ]
    readies = [e.status for e in entries if e.type == "Ready"]
    assert readies == ["True", *["False", "True"] * 60, "False"]
    assert fold(entries).terminated


async def test_a_sweep_removes_what_is_over_and_never_what_belongs_to_the_living(
    scene: Scene,
) -> None:
    living = await scene.store.create(Draft(name=unique("living"), spec=SPEC))
    gone = replace(living, name=unique("gone"), uid=f"uid-{unique('gone')}")
    orphan = replace(living, name=unique("orphan"), uid=f"uid-{unique('orphan')}")
    for sandbox, final in ((living, True), (gone, True), (orphan, False)):
        segment = rest(sandbox.subject, log_of(PENDING), 0)
        await scene.records.write(replace(segment, final=final))

    def sweep(retention: timedelta) -> Sweep:
        return Sweep(scene.records, scene.store.uids, retention, utc_now)

    await sweep(timedelta(hours=1)).once()
    assert len(await scene.records.read(gone.name)) == 1
    await asyncio.sleep(1.1)  # the API server's creation times are whole seconds
    await sweep(timedelta(seconds=1)).once()
    left = [len(await scene.records.read(s.name)) for s in (living, gone, orphan)]
    assert left == [1, 0, 0]
    async with asyncio.timeout(1):
        await sweep(timedelta(0)).run()


async def test_an_archive_that_takes_nothing_does_not_keep_a_sandbox_for_ever(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: KubernetesRecords, segment: Segment) -> Segment:
        raise RejectedError(f"exceeded quota: no room for {segment.name}", code=403)

    monkeypatch.setattr(KubernetesRecords, "write", refused)
    monkeypatch.setattr("isola_lifecycle.keeping.ARCHIVE_RETRY", timedelta(seconds=0.1))
    monkeypatch.setattr("isola_lifecycle.keeping.ARCHIVE_PATIENCE", timedelta(seconds=1))
    async with scene.operator() as settings, aiohttp.ClientSession() as session:
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        watched: list[Condition] = []
        await scene.store.delete(name, uid=(await scene.store.read(name)).uid)
        with suppress(NotFoundError):
            while True:
                watched = list((await scene.store.read(name)).log)
                await asyncio.sleep(0.005)
        await scene.gone(name)
        url = f"http://127.0.0.1:{settings.metrics_port}/metrics"
        async with session.get(url) as answer:
            assert "isola_log_unarchived_total 1.0" in await answer.text()
    assert (watched[-1].type, watched[-1].reason) == ("Archived", "RecordNotWritten")
    waited = watched[-1].last_transition_time - watched[-2].last_transition_time
    assert timedelta(seconds=1) <= waited < timedelta(seconds=3)
    assert list(await scene.records.read(name)) == []
    events = await scene.client.request("GET", f"/api/v1/namespaces/{NAMESPACE}/events")
    (event,) = [e for e in events["items"] if e["involvedObject"]["name"] == name]
    assert (event["type"], event["reason"]) == ("Warning", "RecordNotWritten")
    assert "exceeded quota" in event["message"]


async def test_a_sandbox_lives_as_long_as_it_was_last_told(scene: Scene) -> None:
    async with scene.operator():
        name = await create(scene, timeoutSeconds=2)
        sandbox = await scene.until(name, recorded("PodCreated"))
        asker = Asker(caller="10.0.0.7", request_id="r-2", now=utc_now())
        facts = change_lifetime(fold(sandbox.log), timedelta(seconds=2), 4, asker)
        assert isinstance(facts, tuple)
        entries = extend(sandbox.log, facts, at=utc_now(), generation=1)
        await scene.store.append(name, entries, expected_version=sandbox.log.version)
        ended = await scene.until(name, recorded("Succeeded", "LifetimeExceeded"))
        lived = (
            ended.log.entries[-1].last_transition_time - ended.log.entries[0].last_transition_time
        )
        assert lived >= timedelta(seconds=4)


async def test_a_pod_that_the_api_server_rejects_ends_its_sandbox(scene: Scene) -> None:
    bad = {"name": "sandbox0", "image": "i", "resources": {"limits": {"cpu": "-1"}}}
    async with scene.operator():
        name = await create(scene, podTemplate={"spec": {"containers": [bad]}})
        sandbox = await scene.until(name, recorded("Succeeded", "PodRejected"))
    assert types(sandbox) == ["Accepted", "NetworkConfigured", "PodCreated", "Succeeded"]
    assert "limits" in sandbox.log.entries[-1].message


async def test_a_spec_that_must_not_run_is_refused_with_the_place(scene: Scene) -> None:
    pod = {"containers": [{"name": "sandbox0", "image": "i"}], "hostNetwork": True}
    async with scene.operator():
        name = await create(scene, podTemplate={"spec": pod})
        sandbox = await scene.until(name, recorded("Succeeded", "SpecInvalid"))
    assert "spec.podTemplate.spec.hostNetwork" in sandbox.log.entries[0].message
    with pytest.raises(NotFoundError):
        await scene.client.request("GET", f"{PODS}/{name}-pod")


async def test_time_outs_fire_without_anything_happening(scene: Scene) -> None:
    async with scene.operator():
        slow = await create(scene, startupTimeoutSeconds=1)
        short = await create(scene, timeoutSeconds=2, startupTimeoutSeconds=60)
        sandbox = await scene.until(slow, recorded("Succeeded", "StartupTimeout"))
        assert types(sandbox) == ["Accepted", "NetworkConfigured", "PodCreated", "Succeeded"]
        await scene.until(short, recorded("PodCreated"))
        await scene.gone(short)
        assert (await scene.store.read(slow)).log.version == 4


async def test_a_sandbox_made_with_kubectl_gets_its_finalizer(scene: Scene) -> None:
    name = unique("kubectl")
    body = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": name},
        "spec": SPEC,
    }
    async with scene.operator():
        await scene.client.request("POST", sandboxes_path(NAMESPACE), body)
        sandbox = await scene.until(name, recorded("PodCreated"))
        assert sandbox.finalizers == ("sandbox.isola.run/cleanup",)
        assert sandbox.log.entries[0].actor == "operator on behalf of unknown (Kubernetes API)"


async def test_a_sandbox_may_have_a_name_that_looks_like_a_pod_s(scene: Scene) -> None:
    name = unique("looks-like-a") + "-pod"
    async with scene.operator():
        await scene.store.create(Draft(name=name, spec=SPEC))
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        await scene.until(name, recorded("Ready"))


async def test_of_two_replicas_one_leads_and_the_other_takes_over_at_once(scene: Scene) -> None:
    async with scene.operator(leader_election=True, identity="one"):
        await _until(lambda: _holder(scene, "one"))
        async with scene.operator(leader_election=True, identity="two"):
            await create(scene)
            assert await _holder(scene, "one")
    async with scene.operator(leader_election=True, identity="three"):
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"), seconds=5)


async def _holder(scene: Scene, identity: str) -> bool:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/isola-operator"
    try:
        lease = await scene.client.request("GET", path)
    except NotFoundError:
        return False
    return lease["spec"]["holderIdentity"] == identity


async def _until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await done():  # noqa: ASYNC110 - the event is on a server
            await asyncio.sleep(0.02)


async def test_probes_and_metrics_tell_how_it_is(scene: Scene) -> None:
    async with scene.operator() as settings, aiohttp.ClientSession() as session:
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        for path, port in (
            ("healthz", settings.health_port),
            ("readyz", settings.health_port),
            ("metrics", settings.metrics_port),
        ):
            async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                assert answer.status == 200
                text = await answer.text()
        assert 'isola_log_entries_total{reason="PodCreated",type="PodCreated"}' in text
        assert "isola_sandbox_created_total" in text
        assert 'isola_sandboxes{phase="Pending"}' in text
        assert "isola_queue_depth 0.0" in text
        assert "isola_queue_age_seconds 0.0" in text
        assert 'isola_watch_lag_seconds_bucket{le="30.0"}' in text
        assert "isola_watch_lag_seconds_count 0.0" not in text


def damaged(stored: dict[str, Any]) -> None:
    """Leave of a stored log something that is none."""
    stored["status"] = {"conditions": [{"sequence": 1, "type": "Accepted"}]}


async def test_a_damaged_log_is_told_and_does_not_keep_the_others_waiting(
    scene: Scene, api_server: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    etcd = Etcd(api_server.etcd)
    before, meanwhile = await create(scene), await create(scene)
    etcd.edit(PLURAL, before, damaged)
    try:
        async with scene.operator() as settings, aiohttp.ClientSession() as session:

            async def until_shown(number: float) -> None:
                shown = f'isola_unreadable_objects{{kind="Sandbox"}} {number}'
                url = f"http://127.0.0.1:{settings.metrics_port}/metrics"
                async with asyncio.timeout(20):
                    while True:
                        async with session.get(url) as answer:
                            if shown in await answer.text():
                                return
                        await asyncio.sleep(0.05)

            await scene.until(meanwhile, recorded("PodCreated"))
            await until_shown(1.0)
            etcd.edit(PLURAL, meanwhile, damaged)
            await until_shown(2.0)
            other = await create(scene)
            await scene.until(other, recorded("PodCreated"))
            etcd.edit(PLURAL, before, lambda stored: stored.pop("status"))
            await scene.until(before, recorded("PodCreated"))
            etcd.remove(PLURAL, meanwhile)
            await until_shown(0.0)
        told = capsys.readouterr().out
        for name in (before, meanwhile):
            assert any("object_unreadable" in line and name in line for line in told.splitlines())
    finally:
        for name in (before, meanwhile):
            etcd.remove(PLURAL, name)


async def test_kubectl_shows_the_history_and_waits_for_conditions(
    scene: Scene, api_server: ApiServer
) -> None:
    async with scene.operator():
        name = await create(scene)
        await scene.until(name, recorded("PodCreated"))
        await scene.start(name)
        waiting = await asyncio.to_thread(
            api_server.run_kubectl, "wait", "--for=condition=Ready", f"sandbox/{name}"
        )
        assert waiting.returncode == 0, waiting.stderr
    listed = api_server.run_kubectl("get", "sandbox", name, "-o", "wide").stdout.splitlines()
    assert listed[0].split() == [
        "NAME",
        "PHASE",
        "REASON",
        "NODE",
        "AGE",
        "MESSAGE",
        "ACTOR",
        "SEQUENCE",
    ]
    assert listed[1].split()[:4] == [name, "Running", "PodReady", "n1"]
    got = json.loads(api_server.run_kubectl("get", "sb", name, "-o", "json").stdout)
    assert [c["sequence"] for c in got["status"]["conditions"]] == [6, 5, 4, 3, 2, 1]
    described = api_server.run_kubectl("describe", "sandbox", name).stdout
    assert "The sandbox accepts commands" in described
