"""What the mounter counts, as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from isola_lifecycle.sandbox.conditions import Reason
from isola_mounter.cache import Cache, Wanted
from isola_mounter.metrics import Metrics


def shown(metrics: Metrics) -> dict[str, float]:
    """Return each sample's value by its name with the values of its labels."""
    text = generate_latest(metrics.registry).decode()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_begin_at_zero_before_anything_happens() -> None:
    found = shown(Metrics())
    for result in ("cached", "downloaded", "refused"):
        assert found[f"isola_mounter_stagings_total {result}"] == 0
    for reason in ("SnapshotNotFound", "SnapshotPending", "BucketUnavailable", "NodeCacheFull"):
        assert found[f"isola_mounter_waiting_sandboxes {reason}"] == 0


def test_stagings_by_result_with_seconds() -> None:
    metrics = Metrics()
    metrics.staged("u", "a", 1.5, cached=False)
    metrics.staged("u", "b", 0.1, cached=True)
    metrics.refused()
    found = shown(metrics)
    assert [found[f"isola_mounter_stagings_total {r}"] for r in ("cached", "downloaded")] == [1, 1]
    assert found["isola_mounter_stagings_total refused"] == 1
    assert found["isola_mounter_staging_duration_seconds_sum downloaded"] == 1.5


def test_a_sandbox_waits_once_for_each_thing_and_no_longer_than_it_does() -> None:
    metrics = Metrics()
    full = "isola_mounter_waiting_sandboxes NodeCacheFull"
    for uid in ("u", "v"):
        metrics.waits(uid, "a", Reason.NODE_CACHE_FULL)
        metrics.waits(uid, "b", Reason.NODE_CACHE_FULL)
    assert shown(metrics)[full] == 2
    metrics.over("u")
    assert shown(metrics)[full] == 1
    metrics.staged("v", "a", 1, cached=True)
    metrics.waits("v", "b", Reason.SNAPSHOT_PENDING)
    assert shown(metrics)[full] == 0
    assert shown(metrics)["isola_mounter_waiting_sandboxes SnapshotPending"] == 1


def test_the_cache_is_shown_as_it_is_when_asked(tmp_path: Path) -> None:
    metrics = Metrics()
    cache = Cache(tmp_path, 100, metrics.evicted)
    metrics.watch_cache(cache.taken, 100)
    (tmp_path / "old.tar").write_bytes(b"x" * 60)
    assert shown(metrics)["isola_mounter_cache_bytes"] == 60
    with cache.reserved([Wanted("new", 70)]):
        found = shown(metrics)
    assert (found["isola_mounter_cache_bytes"], found["isola_mounter_cache_limit_bytes"]) == (
        70,
        100,
    )
    assert found["isola_mounter_cache_evictions_total"] == 1
    assert found["isola_mounter_cache_evicted_bytes_total"] == 60
