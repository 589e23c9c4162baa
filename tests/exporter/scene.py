"""A real API server, the real operator, a real collector, and the exporter between them. The test
is scheduler and kubelet."""

from __future__ import annotations

import asyncio
import random
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from isola_exporter.model import Ids, Item, Record, Span
from isola_exporter.otlp import nanoseconds
from isola_exporter.sandboxes import SANDBOX
from isola_exporter.stories import Story, Subject
from isola_exporter.telling import begun, tell
from isola_lifecycle.codec import decode_time
from isola_lifecycle.log import Condition, Log
from isola_lifecycle.sandbox.fold import fold
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft, Logged, Sandbox
from isola_store.records import KubernetesRecords
from support.collector import RECORD, SPAN, Collector, attributes
from support.exports import entry_of
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE
from support.program import Program
from support.store import SPEC, unique

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Exporter(Program):
    """The exporter."""

    def ready(self) -> bool:
        try:
            return "ok" in self.get("/readyz", "ISOLA_HEALTH_PORT")
        except OSError:
            return False

    def scraped(self, accept: str = "") -> str:
        return self.get("/metrics", "ISOLA_METRICS_PORT", accept)

    def get(self, path: str, port: str, accept: str = "") -> str:
        url = f"http://127.0.0.1:{self.environment[port]}{path}"
        request = urllib.request.Request(url, headers={"Accept": accept})
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
    operator: Program
    logs: dict[str, Log] = field(default_factory=dict[str, Log])  # by uid: what there was to tell
    gone: set[str] = field(default_factory=set[str])
    # By trace, in the order in which the first copy of each came.
    records_of: dict[int, dict[int, Record]] = field(default_factory=dict[int, dict[int, Record]])
    spans_of: dict[int, dict[int, dict[str, Any]]] = field(
        default_factory=dict[int, dict[int, dict[str, Any]]]
    )

    async def create(self) -> Sandbox:
        draft = Draft(name=unique("exporter"), spec=SPEC, request_id="r-1", traceparent=TRACEPARENT)
        return await self.store.create(draft)

    async def until(self, done: Callable[[], bool], seconds: float = 240) -> None:
        async with asyncio.timeout(seconds):
            while not done():  # noqa: ASYNC110 - it is in other processes
                await asyncio.sleep(0.05)

    async def exporting(self) -> None:
        self.exporter.start()
        await self.until(self.exporter.ready)

    async def recorded(self, sandbox: Sandbox, about: str) -> None:
        await self.until(lambda: any(e.type == about for e in self.logs.get(sandbox.uid, ())))

    async def live(
        self,
        sandbox: Sandbox,
        chance: random.Random | None = None,
        *,
        flaps: int = 0,
        delete: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Take a sandbox from acceptance to its removal, by `delete` or by `kubectl`'s way."""

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
        if delete:
            await delete(sandbox.name)
        else:
            await self.store.delete(sandbox.name, uid=sandbox.uid)
        await self.recorded(sandbox, "TerminationRequested")
        await self.kubelet.remove(sandbox.name)
        await self.recorded(sandbox, "Terminated")

    async def flap(self, sandbox: Sandbox, times: int) -> None:
        """Let a running sandbox lose its readiness and regain it."""
        for _ in range(times):
            for ready in (False, True):
                await self.kubelet.ready(sandbox.name, ready=ready)
                # Not any new entry: the log may be rolled over in between.
                await self.until(lambda r=ready: fold(self.logs[sandbox.uid]).ready == r)

    def told(self, uid: str) -> list[Condition]:
        """Return the log of an object as the collector has it."""
        self.catch_up()
        return [entry_of(record) for record in self.records_of.get(Ids(uid).trace, {}).values()]

    def spans(self, uid: str) -> dict[int, dict[str, Any]]:
        self.catch_up()
        return self.spans_of.get(Ids(uid).trace, {})

    def catch_up(self) -> None:
        """Read what the collector received meanwhile. What comes again must be the same again."""
        for kind, item in self.collector.news():
            if kind == SPAN:
                spans = self.spans_of.setdefault(int(item["traceId"], 16), {})
                assert spans.setdefault(int(item["spanId"], 16), item) == item
            elif kind == RECORD:
                record = decoded(item)
                records = self.records_of.setdefault(record.trace_id, {})
                assert records.setdefault(record.sequence, record) == record


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
    return tell(begun(subject), log)[1]


def assert_told(scene: Scene, item: Logged, story: Story = SANDBOX) -> None:
    """Hold what the collector has of a finished life to its log."""
    log = scene.logs[item.uid]
    assert scene.told(item.uid) == list(log)
    subject = Subject(uid=item.uid, name=item.name, namespace=NAMESPACE, story=story)
    wanted = [each for each in expected(subject, log) if isinstance(each, Span)]
    found = scene.spans(item.uid)
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
