"""The exporter as a process, between a real API server and a real collector, both of which may
vanish at any time. Logs are written by the real operator; the test is scheduler and kubelet."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from isola_exporter.model import Ids, Item, Kind, Record, Span, Subject
from isola_exporter.otlp import nanoseconds
from isola_exporter.telling import Telling, tell
from isola_lifecycle.archive import whole
from isola_lifecycle.codec import decode_time
from isola_lifecycle.log import Condition, Log
from isola_operator.__main__ import run
from isola_operator.settings import Settings
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft, Sandbox
from isola_store.records import KubernetesRecords
from isola_store.reflector import sandbox_reflector
from support.collector import Collector, attributes
from support.exports import entry_of
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.store import SPEC, unique

pytestmark = pytest.mark.apiserver

LIVES = int(os.environ.get("ISOLA_LIVES", "12"))
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Exporter:
    """The exporter's process, which can be killed and started again."""

    environment: Mapping[str, str]
    log: Path
    metrics_port: int
    health_port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "isola_exporter"],
                env=self.environment,
                stderr=log,
                stdout=log,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        code = self.process.wait(40)
        self.process = None
        return code

    def ready(self) -> bool:
        try:
            return "ok" in self.get("/readyz", self.health_port)
        except OSError:
            return False

    def scraped(self, accept: str = "") -> str:
        return self.get("/metrics", self.metrics_port, accept)

    def get(self, path: str, port: int, accept: str = "") -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"Accept": accept}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read().decode()


@dataclass
class Scene:
    """An API server with an operator, a collector, an exporter that is not running yet."""

    kubelet: Kubelet
    store: KubernetesSandboxes
    records: KubernetesRecords
    collector: Collector
    exporter: Exporter
    logs: dict[str, Log] = field(default_factory=dict[str, Log])  # by uid: what there was to tell
    gone: set[str] = field(default_factory=set[str])

    async def create(self) -> Sandbox:
        draft = Draft(name=unique("exporter"), spec=SPEC, request_id="r-1", traceparent=TRACEPARENT)
        return await self.store.create(draft)

    async def until(self, done: Callable[[], bool], seconds: float = 40) -> None:
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110 - it is in other processes
                await asyncio.sleep(0.05)

    async def exporting(self) -> None:
        self.exporter.start()
        await self.until(self.exporter.ready)

    async def recorded(self, sandbox: Sandbox, about: str) -> None:
        await self.until(
            lambda: any(e.type == about for e in self.logs.get(sandbox.uid, ())), seconds=60
        )

    async def live(
        self, sandbox: Sandbox, chance: random.Random | None = None, *, flaps: int = 0
    ) -> None:
        """Take a sandbox from acceptance to its removal."""

        async def pause() -> None:
            if chance:
                await asyncio.sleep(chance.random())

        await self.recorded(sandbox, "PodCreated")
        await self.kubelet.start(sandbox.name)
        await self.recorded(sandbox, "Ready")
        await pause()
        if flaps:
            await self.flap(sandbox, flaps)
        if chance and chance.random() < 0.5:
            await self.kubelet.exit(sandbox.name, chance.choice([0, 3]))
            await self.recorded(sandbox, "Succeeded")
            await pause()
        await self.store.delete(sandbox.name, uid=sandbox.uid)
        await self.recorded(sandbox, "TerminationRequested")
        await self.kubelet.remove(sandbox.name)
        await self.recorded(sandbox, "Terminated")

    async def flap(self, sandbox: Sandbox, times: int) -> None:
        """Let a running sandbox lose its readiness and regain it."""
        for _ in range(times):
            for ready in (False, True):
                version = self.logs[sandbox.uid].version
                await self.kubelet.ready(sandbox.name, ready=ready)
                await self.until(lambda v=version: self.logs[sandbox.uid].version > v)

    def told(self, uid: str) -> list[Condition]:
        """Return the log of a sandbox as the collector has it: the first copy of each entry."""
        entries: dict[int, Condition] = {}
        for item in self.collector.records():
            record = decoded(item)
            if record.attributes["isola.sandbox.uid"] == uid:
                entries.setdefault(record.sequence, entry_of(record))
        return list(entries.values())

    def spans(self, uid: str) -> dict[int, dict[str, Any]]:
        found = [s for s in self.collector.spans() if attributes(s)["isola.sandbox.uid"] == uid]
        return {int(span["spanId"], 16): span for span in found}


def decoded(item: dict[str, Any]) -> Record:
    """Return a record of OTLP's JSON in the form it was made from, its time from its entry's."""
    told = attributes(item)
    seconds, rest = divmod(int(item["timeUnixNano"]), 10**9)
    at = decode_time("1970-01-01T00:00:00.000000Z")
    at = at.fromtimestamp(seconds, at.tzinfo).replace(microsecond=rest // 1000)
    return Record(
        trace_id=int(item["traceId"], 16),
        span_id=int(item["spanId"], 16),
        at=at,
        severity=item["severityText"],
        name=item["eventName"],
        message=item["body"].get("stringValue", ""),
        attributes=told,
        sequence=int(told["isola.sequence"]),
    )


def expected(subject: Subject, log: Log) -> tuple[Item, ...]:
    return tell(Telling(subject), log)[1]


@asynccontextmanager
async def operating(kubeconfig: str) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    settings = Settings(
        namespace=NAMESPACE,
        own_namespace="default",
        sidecar_image="sidecar:1",
        kubeconfig=kubeconfig,
        metrics_port=free_port(),
        health_port=free_port(),
    )
    task = asyncio.create_task(run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.fixture
def exporter(tmp_path: Path, api_server: ApiServer) -> Iterator[Exporter]:
    metrics, health = free_port(), free_port()
    made = Exporter(
        {
            **os.environ,
            "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
            "ISOLA_KUBECONFIG": str(api_server.kubeconfig),
            "ISOLA_METRICS_PORT": str(metrics),
            "ISOLA_HEALTH_PORT": str(health),
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        },
        tmp_path / "exporter.log",
        metrics,
        health,
    )
    yield made
    if made.process:
        made.end(signal.SIGKILL)


@pytest.fixture
async def scene(tmp_path: Path, api_server: ApiServer, exporter: Exporter) -> AsyncGenerator[Scene]:
    kubeconfig = str(api_server.kubeconfig)
    collector = Collector(tmp_path)
    exporter.environment = {
        **exporter.environment,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
    }
    collector.start()
    try:
        async with (
            await KubernetesClient.connect(kubeconfig) as client,
            operating(kubeconfig),
        ):
            kubelet = Kubelet(client)
            await kubelet.prepare()
            made = Scene(
                kubelet,
                KubernetesSandboxes(client, NAMESPACE),
                KubernetesRecords(client, NAMESPACE),
                collector,
                exporter,
            )
            copy = sandbox_reflector(client, NAMESPACE)

            uids: dict[str, str] = {}

            def keep(name: str) -> None:
                if sandbox := copy.get(name):
                    known = made.logs.get(sandbox.uid, Log(sandbox.uid))
                    made.logs[sandbox.uid] = known.extended(sandbox.log.since(known.version))
                    uids[name] = sandbox.uid
                elif name in uids:
                    made.gone.add(uids[name])

            copy.subscribe(keep)
            watching = asyncio.create_task(copy.run())
            yield made
            watching.cancel()
    finally:
        collector.kill()


def assert_told(scene: Scene, sandbox: Sandbox) -> None:
    """Hold what the collector has of a finished life to its log."""
    log = scene.logs[sandbox.uid]
    assert scene.told(sandbox.uid) == list(log)
    subject = Subject(uid=sandbox.uid, name=sandbox.name, namespace=NAMESPACE)
    wanted = [item for item in expected(subject, log) if isinstance(item, Span)]
    found = scene.spans(sandbox.uid)
    assert list(found) == [span.span_id for span in wanted]
    for span in wanted:
        got = found[span.span_id]
        assert (got["name"], int(got["traceId"], 16)) == (span.name, span.trace_id)
        assert int(got["startTimeUnixNano"]) == nanoseconds(span.start)
        assert int(got["endTimeUnixNano"]) == nanoseconds(span.end)
        assert int(got.get("parentSpanId") or "0", 16) == (span.parent_id or 0)
        assert got["status"].get("message", "") == span.error
        assert attributes(got) == span.attributes
        linked = [(link["traceId"], link["spanId"]) for link in got.get("links", ())]
        assert linked == [(f"{each.trace_id:032x}", f"{each.span_id:016x}") for each in span.links]


async def test_a_life_is_a_trace_whose_spans_are_its_states_and_whose_records_are_its_log(
    scene: Scene,
) -> None:
    await scene.exporting()
    sandbox = await scene.create()
    await scene.live(sandbox)
    life = Ids(sandbox.uid).span(Kind.LIFE, 1)
    await scene.until(lambda: life in scene.spans(sandbox.uid))
    assert_told(scene, sandbox)
    assert [s["name"] for s in scene.spans(sandbox.uid).values()] == [
        "create pod",
        "schedule",
        "start containers",
        "become ready",
        "Pending",
        "Running",
        "Terminating",
        "sandbox",
    ]
    traced = {link["traceId"] for link in scene.spans(sandbox.uid)[life]["links"]}
    assert traced == {TRACEPARENT.split("-")[1]}


async def test_metrics_are_scraped_with_exemplars_and_exported(scene: Scene) -> None:
    await scene.exporting()
    sandbox = await scene.create()
    await scene.live(sandbox)
    trace = f"{Ids(sandbox.uid).trace:032x}"

    def scraped() -> str:
        return scene.exporter.scraped("application/openmetrics-text")

    await scene.until(lambda: "isola_life_duration_seconds_count 1.0" in scraped())
    lines = scraped().splitlines()
    starts = [li for li in lines if li.startswith("isola_life_start_duration_seconds_bucket{")]
    assert any(trace in line for line in starts)
    ready = 'isola_life_transitions_total{reason="PodReady",status="True",type="Ready"} 1.0'
    assert any(line.startswith(ready) for line in lines)
    assert any(line.startswith('isola_life_current{state="Running"}') for line in lines)

    def exported() -> Iterator[dict[str, Any]]:
        for metric in scene.collector.metrics():
            if metric["name"] == "isola.life.start.duration":
                yield from metric["histogram"]["dataPoints"]

    await scene.until(lambda: any(exported()))
    exemplars = [e for point in exported() for e in point.get("exemplars", ())]
    assert {e["traceId"] for e in exemplars} == {trace}


async def test_probes_tell_when_it_follows(scene: Scene) -> None:
    await scene.exporting()
    assert "ok" in scene.exporter.get("/healthz", scene.exporter.health_port)


async def test_what_is_known_is_delivered_before_it_stops(scene: Scene) -> None:
    await scene.exporting()
    await scene.until(lambda: "isola_exporter_pending_entries 0.0" in scene.exporter.scraped())
    scene.collector.kill()
    sandbox = await scene.create()
    await scene.live(sandbox)
    await scene.until(lambda: "isola_exporter_pending_entries 8.0" in scene.exporter.scraped())
    scene.collector.start()
    assert await asyncio.to_thread(scene.exporter.end) == 0
    assert_told(scene, sandbox)


async def test_a_start_tells_what_happened_while_it_was_away(scene: Scene) -> None:
    sandbox = await scene.create()
    await scene.recorded(sandbox, "PodCreated")
    await scene.kubelet.start(sandbox.name)
    await scene.recorded(sandbox, "Ready")
    scene.exporter.start()
    await scene.until(lambda: scene.told(sandbox.uid) == list(scene.logs[sandbox.uid]))


@pytest.mark.timeout(300)
async def test_killing_exporter_and_collector_at_random_loses_and_disorders_nothing(
    scene: Scene,
) -> None:
    chance = random.Random(7)

    async def chaos() -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.2, 2))
            if chance.random() < 0.5:
                scene.collector.kill()
                await asyncio.sleep(chance.uniform(0, 1))
                await asyncio.to_thread(scene.collector.start)
            else:
                await asyncio.to_thread(scene.exporter.end, signal.SIGKILL)
                await asyncio.sleep(chance.uniform(0, 1.5))
                scene.exporter.start()

    async def life(number: int) -> Sandbox:
        await asyncio.sleep(number * 0.5)
        sandbox = await scene.create()
        # One that is rolled over to the archive while it lives.
        await scene.live(sandbox, chance, flaps=30 if number == 0 else 0)
        return sandbox

    scene.exporter.start()
    trouble = asyncio.create_task(chaos())
    sandboxes = await asyncio.gather(*(life(number) for number in range(LIVES)))
    trouble.cancel()
    with suppress(asyncio.CancelledError):
        await trouble
    if scene.exporter.process is None:
        scene.exporter.start()
    if scene.collector.process is None:
        scene.collector.start()
    roots = {Ids(sandbox.uid).span(Kind.LIFE, 1) for sandbox in sandboxes}
    await scene.until(lambda: roots <= {int(s["spanId"], 16) for s in scene.collector.spans()}, 60)
    for sandbox in sandboxes:
        archived = whole(await scene.records.read(sandbox.name, sandbox.uid))
        scene.logs[sandbox.uid] = Log(sandbox.uid, archived)
        assert archived[0].sequence == 1
        assert_told(scene, sandbox)


async def test_a_life_that_came_and_went_while_it_was_away_is_told_from_the_archive(
    scene: Scene,
) -> None:
    sandbox = await scene.create()
    await scene.live(sandbox, flaps=25)
    await scene.until(lambda: sandbox.uid in scene.gone)
    scene.exporter.start()
    life = Ids(sandbox.uid).span(Kind.LIFE, 1)
    await scene.until(lambda: life in scene.spans(sandbox.uid))
    assert len(scene.logs[sandbox.uid]) > 50
    assert_told(scene, sandbox)


def test_a_missing_setting_is_named(exporter: Exporter) -> None:
    environment = {**exporter.environment, "ISOLA_SANDBOX_NAMESPACE": ""}
    done = subprocess.run(
        [sys.executable, "-m", "isola_exporter"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "ISOLA_SANDBOX_NAMESPACE" in done.stderr
