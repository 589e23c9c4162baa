"""Sandboxes on a real API server.

The lock of the log is the numbering rule of the CRD: an append under a taken number is refused by
the API server (422). The JSON Patch here also tests for the number that it expects, so that the
refusal is cheap; the rule holds for every other writer, `kubectl` included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.archive import Moved
from isola_lifecycle.codec import decode_log, decode_time, encode
from isola_lifecycle.errors import ExpectedVersionError, NotFoundError, RejectedError
from isola_lifecycle.log import Condition
from isola_store.client import (
    JSON_PATCH,
    MERGE_PATCH,
    ConflictError,
    KubernetesClient,
    MetadataOnly,
    collection,
)
from isola_store.port import Draft, Sandbox, courier

API_VERSION = f"{naming.GROUP}/{naming.VERSION}"


def sandboxes_path(namespace: str) -> str:
    """Return the path of the collection."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{naming.PLURAL}"


class KubernetesSandboxes:
    """A `SandboxStore` in one namespace of a cluster.

    Args:
        client: Where to.
        namespace: Where the sandboxes live.
    """

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self._path = sandboxes_path(namespace)

    async def create(self, draft: Draft) -> Sandbox:
        """Create a Sandbox; see `SandboxStore.create`."""
        body = {
            "apiVersion": API_VERSION,
            "kind": naming.KIND,
            "metadata": {
                "name": draft.name,
                "labels": dict(draft.labels),
                "annotations": courier(draft),
                "finalizers": [naming.FINALIZER],
            },
            "spec": dict(draft.spec),
        }
        query = {"fieldManager": "isola-gateway"}
        return decode_sandbox(await self._client.request("POST", self._path, body, query=query))

    async def read(self, name: str) -> Sandbox:
        """Return the Sandbox; see `SandboxStore.read`."""
        return decode_sandbox(await self._client.request("GET", f"{self._path}/{name}"))

    async def list(self) -> Sequence[Sandbox]:
        """Return every Sandbox; see `SandboxStore.list`."""
        items, _ = await collection(self._client, self._path)
        return [decode_sandbox(item) for item in items]

    async def uids(self) -> frozenset[str]:
        """Return the UID of every Sandbox, as of now."""
        items, _ = await collection(MetadataOnly(self._client), self._path)
        return frozenset(item["metadata"]["uid"] for item in items)

    async def append(
        self,
        name: str,
        entries: Sequence[Condition],
        *,
        expected_version: int,
        moved: Moved | None = None,
    ) -> Sandbox:
        """Append sealed entries; see `SandboxStore.append`."""
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
        return decode_sandbox(answer)

    async def delete(self, name: str, *, uid: str) -> None:
        """Mark for deletion; see `SandboxStore.delete`."""
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

    async def add_finalizer(self, sandbox: Sandbox) -> None:
        """Put our finalizer on; see `SandboxStore.add_finalizer`."""
        if naming.FINALIZER not in sandbox.finalizers:
            await self._set_finalizers(sandbox, [*sandbox.finalizers, naming.FINALIZER])

    async def remove_finalizer(self, sandbox: Sandbox) -> None:
        """Take our finalizer off; see `SandboxStore.remove_finalizer`."""
        rest = [f for f in sandbox.finalizers if f != naming.FINALIZER]
        if len(rest) < len(sandbox.finalizers):
            await self._set_finalizers(sandbox, rest)

    async def _set_finalizers(self, sandbox: Sandbox, finalizers: Sequence[str]) -> None:
        # The resource version makes it a comparison and a swap: others own finalizers too.
        metadata = {
            "uid": sandbox.uid,
            "resourceVersion": sandbox.resource_version,
            "finalizers": list(finalizers),
        }
        path = f"{self._path}/{sandbox.name}"
        try:
            await self._client.request(
                "PATCH", path, {"metadata": metadata}, content_type=MERGE_PATCH
            )
        except NotFoundError:
            return
        except ConflictError as error:
            raise ExpectedVersionError(str(error)) from error


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


def decode_sandbox(item: Mapping[str, Any]) -> Sandbox:
    """Return the Sandbox that a custom resource stands for."""
    metadata = item["metadata"]
    return Sandbox(
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
