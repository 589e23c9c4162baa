"""What the operator counts. Drawn from the log: a number here is an entry there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from isola_lifecycle.codec import encode
from isola_lifecycle.log import Condition, Status
from isola_lifecycle.sandbox.conditions import CATALOGUE, Phase, Type
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.snapshot.fold import fold as snapshot_fold
from isola_operator.queue import WorkQueue
from isola_store.port import Sandbox, Snapshot


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._created = Counter(
            "isola_sandbox_created_total", "Sandboxes accepted", registry=self.registry
        )
        self._ended = Counter(
            "isola_sandbox_ended_total", "Outcomes", ["reason"], registry=self.registry
        )
        self._ready = Histogram(
            "isola_sandbox_ready_duration_seconds",
            "From acceptance to the first Ready",
            buckets=(0.5, 1, 2, 5, 10, 15, 30, 60, 120),
            registry=self.registry,
        )
        self._entries = Counter(
            "isola_log_entries_total",
            "Entries appended by the operator",
            ["type", "reason"],
            registry=self.registry,
        )
        self._show_zeros()
        self._writes = Counter(
            "isola_log_writes_total",
            "Status writes by the operator; one may append several entries",
            registry=self.registry,
        )
        self._bytes = Counter(
            "isola_log_bytes_total", "Bytes of the entries appended", registry=self.registry
        )
        self._unarchived = Counter(
            "isola_log_unarchived_total",
            "Logs that went without an archive, because none could be written",
            registry=self.registry,
        )
        self._open: set[str] = set()
        self._snapshots_created = Counter(
            "isola_rootfssnapshot_created_total",
            "Root file system snapshots accepted or refused",
            registry=self.registry,
        )
        self._snapshots_completed = Counter(
            "isola_rootfssnapshot_completed_total",
            "Root file system snapshots that ended",
            ["result"],
            registry=self.registry,
        )
        for result in ("succeeded", "failed"):
            self._snapshots_completed.labels(result)
        self._phases = Gauge(
            "isola_sandboxes", "Sandboxes by phase", ["phase"], registry=self.registry
        )
        self._depth = Gauge(
            "isola_queue_depth", "Objects that wait for a worker", registry=self.registry
        )
        self._age = Gauge(
            "isola_queue_age_seconds",
            "How long the object that is next has waited",
            registry=self.registry,
        )
        self._unreadable = Gauge(
            "isola_unreadable_objects",
            "Objects that are passed over, because what they hold cannot be decoded",
            ["kind"],
            registry=self.registry,
        )
        self.watch_lag = Histogram(
            "isola_watch_lag_seconds",
            "Age of an entry when the watch brings it",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.reconciliations = Histogram(
            "isola_reconcile_duration_seconds",
            "Reconciliations by result",
            ["result"],
            registry=self.registry,
        )

    def _show_zeros(self) -> None:
        # A counter that begins with its first event hides that event from `rate`.
        for row in CATALOGUE:
            for reason in {*row.true, *row.false}:
                self._entries.labels(row.type.value, reason.value)
                if row.type is Type.SUCCEEDED:
                    self._ended.labels(reason.value)

    def recorded(self, sandbox: Sandbox, entries: tuple[Condition, ...]) -> None:
        """Count entries that were just appended to a sandbox's log."""
        self._writes.inc()
        for entry in entries:
            self._entries.labels(entry.type, entry.reason).inc()
            self._bytes.inc(len(json.dumps(encode(entry), separators=(",", ":"))))
            if entry.type == Type.ACCEPTED:
                self._created.inc()
            elif entry.type == Type.SUCCEEDED:
                self._ended.labels(entry.reason).inc()
            elif entry.type == Type.ARCHIVED and entry.status == Status.FALSE:
                self._unarchived.inc()
        if duration := first_ready_seconds(sandbox, entries):
            self._ready.observe(duration)

    def recorded_of_snapshot(self, _: Snapshot, entries: tuple[Condition, ...]) -> None:
        """Count entries that were just appended to a snapshot's log."""
        self._writes.inc()
        for entry in entries:
            self._bytes.inc(len(json.dumps(encode(entry), separators=(",", ":"))))
            if entry.type == Type.ACCEPTED:
                self._snapshots_created.inc()
            elif entry.type == Type.ARCHIVED and entry.status == Status.FALSE:
                self._unarchived.inc()

    def watch(self, *queues: WorkQueue) -> None:
        """Show the queues' depth and age whenever somebody asks."""
        self._depth.set_function(lambda: sum(map(len, queues)))
        self._age.set_function(lambda: max(queue.age_seconds for queue in queues))

    def watch_unreadable(self, kind: str, count: Callable[[], float]) -> None:
        """Show how many objects of a kind cannot be decoded, whenever somebody asks."""
        self._unreadable.labels(kind).set_function(count)

    def look(self, name: str, snapshot: Snapshot | None) -> None:
        """Count a snapshot that ended since the copy had it last.

        Most outcomes are the uploader's to record: here they are seen. What had ended before this
        process first saw it was counted by another.
        """
        if snapshot is None:
            self._open.discard(name)
            return
        outcome = snapshot_fold(snapshot.log).outcome
        if outcome is None:
            self._open.add(name)
        elif name in self._open:
            self._open.discard(name)
            result = "succeeded" if outcome.succeeded else "failed"
            self._snapshots_completed.labels(result).inc()

    def count_phases(self, sandboxes: Sequence[Sandbox]) -> None:
        """Set the gauge from a copy of all sandboxes."""
        phases = [fold(sandbox.log).phase for sandbox in sandboxes]
        for phase in Phase:
            self._phases.labels(phase.value).set(phases.count(phase))


def first_ready_seconds(sandbox: Sandbox, entries: tuple[Condition, ...]) -> float | None:
    """Return the seconds from acceptance to the first Ready, if `entries` hold that one."""
    readies = [e for e in sandbox.log if e.type == Type.READY and e.status == "True"]
    if sandbox.log.archived:
        return None  # the first one is in the archive, or never was
    if not readies or readies[0].sequence not in {entry.sequence for entry in entries}:
        return None
    accepted: datetime | None = fold(sandbox.log).accepted_at
    return (readies[0].last_transition_time - accepted).total_seconds() if accepted else None
