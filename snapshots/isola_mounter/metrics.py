"""What a mounter counts: stagings, downloads, its cache, and who waits for what."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from isola_lifecycle.sandbox.conditions import Reason

# How an archive came to be there.
CACHED, DOWNLOADED, REFUSED = "cached", "downloaded", "refused"
# What may still come.
AWAITED = (
    Reason.SNAPSHOT_NOT_FOUND,
    Reason.SNAPSHOT_PENDING,
    Reason.BUCKET_UNAVAILABLE,
    Reason.NODE_CACHE_FULL,
)


class Metrics:
    """The mounter's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._stagings = Counter(
            "isola_mounter_stagings_total",
            "Archives staged for a container, or refused",
            ["result"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "isola_mounter_staging_duration_seconds",
            "From the archive's being found, with room for it, to its being staged",
            ["result"],
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
            registry=self.registry,
        )
        # A counter that begins with its first event hides that event from `rate`.
        for result in (CACHED, DOWNLOADED, REFUSED):
            self._stagings.labels(result)
        for result in (CACHED, DOWNLOADED):
            self._seconds.labels(result)
        self._downloaded = Counter(
            "isola_mounter_downloaded_bytes_total",
            "Bytes that came from the bucket, those of downloads that failed included",
            registry=self.registry,
        )
        self._evictions = Counter(
            "isola_mounter_cache_evictions_total",
            "Archives that made room for others",
            registry=self.registry,
        )
        self._evicted = Counter(
            "isola_mounter_cache_evicted_bytes_total",
            "Bytes of the archives that made room for others",
            registry=self.registry,
        )
        self._cache = Gauge(
            "isola_mounter_cache_bytes",
            "What the archives kept on this node take, those on their way included",
            registry=self.registry,
        )
        self._limit = Gauge(
            "isola_mounter_cache_limit_bytes",
            "What they may take (snapshotMounter.cacheSizeLimit)",
            registry=self.registry,
        )
        self._sandboxes = Gauge(
            "isola_mounter_waiting_sandboxes",
            "Sandboxes on this node that wait for what may still come, by what that is",
            ["reason"],
            registry=self.registry,
        )
        self._waiting: dict[tuple[str, str], str] = {}
        for reason in AWAITED:
            self._sandboxes.labels(reason.value).set_function(self._counter_of(reason))

    def watch_cache(self, taken: Callable[[], float], limit_bytes: int) -> None:
        """Show what the cache takes whenever somebody asks, and what it may take."""
        self._cache.set_function(taken)
        self._limit.set(limit_bytes)

    def staged(self, uid: str, container: str, seconds: float, *, cached: bool) -> None:
        """Count an archive that was staged for a container of the sandbox with this UID."""
        self._waiting.pop((uid, container), None)
        result = CACHED if cached else DOWNLOADED
        self._stagings.labels(result).inc()
        self._seconds.labels(result).observe(seconds)

    def refused(self) -> None:
        """Count an archive that was refused."""
        self._stagings.labels(REFUSED).inc()

    def downloaded(self, size_bytes: int) -> None:
        """Count bytes that came from the bucket."""
        self._downloaded.inc(size_bytes)

    def evicted(self, size_bytes: int) -> None:
        """Count an archive of so many bytes that made room."""
        self._evictions.inc()
        self._evicted.inc(size_bytes)

    def waits(self, uid: str, container: str, reason: str) -> None:
        """Note what a container of the sandbox with this UID waits for."""
        self._waiting[uid, container] = reason

    def over(self, uid: str) -> None:
        """Note that nobody waits for the sandbox with this UID any more."""
        self._waiting = {key: why for key, why in self._waiting.items() if key[0] != uid}

    def _counter_of(self, reason: Reason) -> Callable[[], float]:
        return lambda: len({uid for (uid, _), why in self._waiting.items() if why == reason})
