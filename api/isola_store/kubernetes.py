"""Objects and their logs on a real API server.

The lock of the log is the numbering rule of the CRD: an append under a taken number is refused by
the API server (422). The JSON Patch here also tests for the number that it expects, so that the
refusal is cheap; the rule holds for every other writer, `kubectl` included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

from isola_lifecycle import naming
from isola_lifecycle.archive import Moved
from isola_lifecycle.codec import decode_log, decode_time, encode
from isola_lifecycle.errors import ExpectedVersionError, NotFoundError, RejectedError
from isola_lifecycle.log import Condition
from isola_lifecycle.naming import Resource
from isola_store.client import (
    JSON_PATCH,
    MERGE_PATCH,
    ConflictError,
    KubernetesClient,
    MetadataOnly,
    collection,
)
from isola_store.port import Draft, Sandbox, Snapshot, T, courier

API_VERSION = f"{naming.GROUP}/{naming.VERSION}"


def path_of(resource: Resource, namespace: str) -> str:
    """Return the path of the collection of a resource."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{resource.plural}"


def sandboxes_path(namespace: str) -> str:
    """Return the path of the collection of sandboxes."""
    return path_of(naming.SANDBOX, namespace)


class KubernetesStore(Generic[T]):
    """A `Store` in one namespace of a cluster.

    Args:
        client: Where to.
        namespace: Where the objects live.
        resource: Which objects.
        make: What they are read as.
    """

    def __init__(
        self, client: KubernetesClient, namespace: str, resource: Resource, make: type[T]
    ) -> None:
        self._client = client
        self._resource = resource
        self._make = make
        self._path = path_of(resource, namespace)

    async def create(self, draft: Draft) -> T:
        """Create an object; see `Store.create`."""
        body = {
            "apiVersion": API_VERSION,
            "kind": self._resource.kind,
            "metadata": {
                "name": draft.name,
                "labels": dict(draft.labels),
                "annotations": courier(draft),
                "finalizers": [naming.FINALIZER],
            },
            "spec": dict(draft.spec),
        }
        query = {"fieldManager": "isola-gateway"}
        return self._decode(await self._client.request("POST", self._path, body, query=query))

    async def read(self, name: str) -> T:
        """Return the object; see `Store.read`."""
        return self._decode(await self._client.request("GET", f"{self._path}/{name}"))

    async def list(self) -> Sequence[T]:
        """Return every object; see `Store.list`."""
        items, _ = await collection(self._client, self._path)
        return [self._decode(item) for item in items]

    async def uids(self) -> frozenset[str]:
        """Return the UID of every object, as of now."""
        items, _ = await collection(MetadataOnly(self._client), self._path)
        return frozenset(item["metadata"]["uid"] for item in items)

    async def append(
        self,
        name: str,
        entries: Sequence[Condition],
        *,
        expected_version: int,
        moved: Moved | None = None,
    ) -> T:
        """Append sealed entries; see `Store.append`."""
        patch = _append_patch(entries, expected_version)
        if moved:
            patch += _removals(moved, expected_version + len(entries))
        path = f"{self._path}/{name}/status"
        try:
            answer = await self._client.request("PATCH", path, patch, content_type=JSON_PATCH)
        except ConflictError as error:
            raise ExpectedVersionError(str(error)) from error
        except RejectedError as error:
            # 422 is both "that number is taken" and "that entry is malformed". The log tells which.
            current = await self.read(name)
            if current.log.version != expected_version:
                message = f"{name}: at {current.log.version}, not at {expected_version}"
                raise ExpectedVersionError(message) from error
            raise
        return self._decode(answer)

    async def delete(self, name: str, *, uid: str) -> None:
        """Mark for deletion; see `Store.delete`."""
        body = {
            "apiVersion": "meta/v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._client.request("DELETE", f"{self._path}/{name}", body)
        except (NotFoundError, ConflictError):
            return

    async def add_finalizer(self, item: T) -> None:
        """Put our finalizer on; see `Store.add_finalizer`."""
        if naming.FINALIZER not in item.finalizers:
            await self._set_finalizers(item, [*item.finalizers, naming.FINALIZER])

    async def remove_finalizer(self, item: T) -> None:
        """Take our finalizer off; see `Store.remove_finalizer`."""
        rest = [f for f in item.finalizers if f != naming.FINALIZER]
        if len(rest) < len(item.finalizers):
            await self._set_finalizers(item, rest)

    async def _set_finalizers(self, item: T, finalizers: Sequence[str]) -> None:
        # The resource version makes it a comparison and a swap: others own finalizers too.
        metadata = {
            "uid": item.uid,
            "resourceVersion": item.resource_version,
            "finalizers": list(finalizers),
        }
        path = f"{self._path}/{item.name}"
        try:
            await self._client.request(
                "PATCH", path, {"metadata": metadata}, content_type=MERGE_PATCH
            )
        except NotFoundError:
            return
        except ConflictError as error:
            raise ExpectedVersionError(str(error)) from error

    def _decode(self, item: Mapping[str, Any]) -> T:
        return decode(item, self._make)


class KubernetesSandboxes(KubernetesStore[Sandbox]):
    """The sandboxes of a namespace."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        super().__init__(client, namespace, naming.SANDBOX, Sandbox)


class KubernetesSnapshots(KubernetesStore[Snapshot]):
    """The root file system snapshots of a namespace."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        super().__init__(client, namespace, naming.ROOTFS_SNAPSHOT, Snapshot)


def _append_patch(entries: Sequence[Condition], expected_version: int) -> list[dict[str, Any]]:
    if expected_version == 0:
        newest_first = [encode(entry) for entry in reversed(entries)]
        return [
            {"op": "test", "path": "/status", "value": None},  # there is none yet
            {"op": "add", "path": "/status", "value": {"conditions": newest_first}},
        ]
    head = {"op": "test", "path": "/status/conditions/0/sequence", "value": expected_version}
    additions = [
        {"op": "add", "path": "/status/conditions/0", "value": encode(entry)} for entry in entries
    ]
    return [head, *additions]


def _removals(moved: Moved, newest: int) -> list[dict[str, Any]]:
    # Newest first: entry `n` stands at index `newest - n`. From the end, so that none shifts.
    numbers = range(moved.first, moved.last + 1)
    return [
        *({"op": "remove", "path": f"/status/conditions/{newest - n}"} for n in numbers),
        {"op": "add", "path": "/status/archived", "value": moved.last},
    ]


def decode(item: Mapping[str, Any], make: type[T]) -> T:
    """Return what a custom resource stands for."""
    metadata = item["metadata"]
    return make(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        created_at=decode_time(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers", ())),
        labels=metadata.get("labels", {}),
        annotations=metadata.get("annotations", {}),
        spec=item.get("spec", {}),
        log=decode_log(metadata["uid"], item.get("status", {})),
    )


def decode_sandbox(item: Mapping[str, Any]) -> Sandbox:
    """Return the Sandbox that a custom resource stands for."""
    return decode(item, Sandbox)


def decode_snapshot(item: Mapping[str, Any]) -> Snapshot:
    """Return the RootfsSnapshot that a custom resource stands for."""
    return decode(item, Snapshot)
