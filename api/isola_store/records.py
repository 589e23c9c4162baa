"""The archive: where segments of logs are kept, and how long.

Two implementations pass one contract suite (`tests/store`), as with the sandboxes themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from isola_lifecycle.archive import Kept, Segment
from isola_lifecycle.codec import decode_segment, decode_time, encode_segment
from isola_lifecycle.errors import AlreadyExistsError, NotFoundError
from isola_lifecycle.naming import RECORD_FINAL_LABEL, SANDBOX, Resource
from isola_store.client import ConflictError, KubernetesClient, MetadataOnly, collection
from isola_store.kubernetes import API_VERSION


class RecordStore(Protocol):
    """The archive of one namespace. Every method may raise `TransientError`."""

    async def write(self, segment: Segment) -> Segment:
        """Make sure that a segment of this name is there, and return the one that is.

        It is another one than was given where somebody wrote it first.

        Raises:
            RejectedError: The API server refuses it, or may not take any more.
        """
        ...

    async def read(self, name: str, uid: str = "") -> Sequence[Segment]:
        """Return what is kept of all objects that had a name, or of the one with this UID.

        Returns:
            By age of the object, then in the order of its log.
        """
        ...

    async def list(self) -> Sequence[Kept]:
        """Return all segments, but not what is in them."""
        ...

    async def delete(self, kept: Kept) -> None:
        """Make sure that a segment is gone; another one that has its name by now is left alone."""
        ...


def records_path(namespace: str, of: Resource = SANDBOX) -> str:
    """Return the path of the collection."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{of.record_plural}"


class KubernetesRecords:
    """A `RecordStore` of custom resources.

    Args:
        client: Where to.
        namespace: Where the records live.
        of: Whose logs they are of.
    """

    def __init__(self, client: KubernetesClient, namespace: str, of: Resource = SANDBOX) -> None:
        self._client = client
        self._of = of
        self._path = records_path(namespace, of)

    async def write(self, segment: Segment) -> Segment:
        """Write a segment; see `RecordStore.write`."""
        body = {
            "apiVersion": API_VERSION,
            "kind": self._of.record_kind,
            "metadata": {"name": segment.name, "labels": _labels(segment, self._of)},
            "spec": encode_segment(segment, self._of),
        }
        query = {"fieldManager": "isola-operator"}
        try:
            written = await self._client.request("POST", self._path, body, query=query)
        except AlreadyExistsError:
            written = await self._client.request("GET", f"{self._path}/{segment.name}")
        return decode_segment(written["spec"], self._of)

    async def read(self, name: str, uid: str = "") -> Sequence[Segment]:
        """Return what is kept; see `RecordStore.read`."""
        if len(name) > self._of.name_length:
            return []  # no label either
        selector = f"{self._of.name_label}={name}"
        if uid:
            selector += f",{self._of.uid_label}={uid}"
        items, _ = await collection(self._client, self._path, {"labelSelector": selector})
        # What a label says can be changed; what a record says of itself cannot.
        found = [decode_segment(item["spec"], self._of) for item in items]
        return in_order([s for s in found if s.subject.name == name and uid in {"", s.subject.uid}])

    async def list(self) -> Sequence[Kept]:
        """Return all segments; see `RecordStore.list`."""
        items, _ = await collection(MetadataOnly(self._client), self._path)
        return [_kept(item["metadata"], self._of) for item in items]

    async def delete(self, kept: Kept) -> None:
        """Remove a segment; see `RecordStore.delete`."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": kept.uid}}
        try:
            await self._client.request("DELETE", f"{self._path}/{kept.name}", body)
        except (NotFoundError, ConflictError):
            return


class MemoryRecords:
    """A `RecordStore` without a cluster.

    Args:
        clock: Gives `metadata.creationTimestamp`.
    """

    def __init__(
        self, clock: Callable[[], datetime] = lambda: datetime(2026, 1, 1, tzinfo=UTC)
    ) -> None:
        self._clock = clock
        self._segments: dict[str, tuple[Kept, Segment]] = {}
        self._numbers = count(1)

    async def write(self, segment: Segment) -> Segment:
        """Write a segment; see `RecordStore.write`."""
        kept = Kept(
            name=segment.name,
            uid=f"record-{next(self._numbers)}",
            subject_name=segment.subject.name,
            subject_uid=segment.subject.uid,
            final=segment.final,
            created_at=self._clock(),
        )
        return self._segments.setdefault(segment.name, (kept, segment))[1]

    async def read(self, name: str, uid: str = "") -> Sequence[Segment]:
        """Return what is kept; see `RecordStore.read`."""
        found = [segment for _, segment in self._segments.values()]
        return in_order([s for s in found if s.subject.name == name and uid in {"", s.subject.uid}])

    async def list(self) -> Sequence[Kept]:
        """Return all segments; see `RecordStore.list`."""
        return [kept for kept, _ in self._segments.values()]

    async def delete(self, kept: Kept) -> None:
        """Remove a segment; see `RecordStore.delete`."""
        if kept.name in self._segments and self._segments[kept.name][0].uid == kept.uid:
            del self._segments[kept.name]


def in_order(segments: Sequence[Segment]) -> Sequence[Segment]:
    """Return segments by age of their object, then in the order of its log."""
    return sorted(segments, key=lambda s: (s.subject.created_at, s.subject.uid, s.first))


def _labels(segment: Segment, of: Resource) -> dict[str, str]:
    return {
        of.name_label: segment.subject.name,
        of.uid_label: segment.subject.uid,
        RECORD_FINAL_LABEL: str(segment.final).lower(),
        "app.kubernetes.io/managed-by": "isola-operator",
        "app.kubernetes.io/part-of": "isola",
    }


def _kept(metadata: dict[str, Any], of: Resource) -> Kept:
    labels = metadata.get("labels", {})
    return Kept(
        name=metadata["name"],
        uid=metadata["uid"],
        subject_name=labels.get(of.name_label, ""),
        subject_uid=labels.get(of.uid_label, ""),
        final=labels.get(RECORD_FINAL_LABEL) == "true",
        created_at=decode_time(metadata["creationTimestamp"]),
    )
