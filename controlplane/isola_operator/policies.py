"""The sandboxes' NetworkPolicies in the cluster: whether they are as they should be, and making so.

Reads come from a local copy, except that one that differs is looked for on the API server: too
much follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.errors import (
    AlreadyExistsError,
    NotFoundError,
    RejectedError,
    TransientError,
)
from isola_lifecycle.sandbox.network import Network
from isola_operator.manifests.network import ClusterDns, Doors, Egress, build_policy
from isola_store.client import ConflictError, KubernetesClient
from isola_store.port import Sandbox
from isola_store.ranges import ClusterRanges
from isola_store.reflector import Reflector
from isola_store.services import Service

Json = Mapping[str, Any]

POLICY_SELECTOR = {"labelSelector": "app.kubernetes.io/managed-by=isola-operator"}


def policies_path(namespace: str) -> str:
    """Return the path of a namespace's policies."""
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"


@dataclass(frozen=True, slots=True)
class OwnedPolicy:
    """A policy and whom it belongs to.

    Attributes:
        name: Its name.
        owner_uid: UID of the controlling Sandbox, or empty.
        spec: What it opens, and to whom.
    """

    name: str
    owner_uid: str
    spec: Json


def decode_policy(item: Json) -> OwnedPolicy:
    """Return the policy that a Kubernetes object stands for."""
    metadata = item["metadata"]
    owners = metadata.get("ownerReferences", ())
    uid = next((o["uid"] for o in owners if o.get("controller")), "")
    return OwnedPolicy(metadata["name"], uid, item.get("spec", {}))


@dataclass(frozen=True, slots=True)
class WayOut:
    """Where the egress component is.

    Args:
        settings: As far as the installation says.
        service: Local copy of its Service, or None where it is not installed.
    """

    settings: Egress
    service: Reflector[Service] | None = None

    def now(self) -> Egress:
        """Return where it is."""
        found = self.service.list() if self.service else ()
        return replace(self.settings, addresses=tuple(a for s in found for a in s.addresses))

    async def wait_synced(self) -> None:
        """Return once it is known."""
        if self.service:
            await self.service.wait_synced()


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of one namespace.

    Args:
        client: Where requests go.
        copy: Local copy of them.
        namespace: Where they live.
        ranges: What they never open.
        dns: Where the cluster's name servers are.
        way_out: Knows where the egress component is.
        doors: Where doors lead.
    """

    client: KubernetesClient
    copy: Reflector[OwnedPolicy]
    namespace: str
    ranges: ClusterRanges
    dns: ClusterDns
    way_out: WayOut
    doors: Doors

    @property
    def copies(self) -> tuple[Reflector[Any], ...]:
        """Return what has to be kept current."""
        followed = (self.way_out.service,) if self.way_out.service else ()
        return (self.copy, *self.ranges.copies, *followed)

    def wanted(self, sandbox: Sandbox, network: Network, door: str = "") -> dict[str, Any] | None:
        """Return the policy that a sandbox should have, or None for none."""
        blocked, way_out = self.ranges.blocked(), self.way_out.now()
        opened = self.doors.rules(door)
        return build_policy(sandbox, network, blocked, self.dns, way_out, opened)

    async def is_current(self, sandbox: Sandbox, wanted: Json | None) -> bool:
        """Return whether the cluster has what is wanted."""
        if _agrees(sandbox, wanted, self.copy.get(naming.policy_name(sandbox.name))):
            return True
        if sandbox.log.version == 0:
            return False  # brand-new: the attempt to create it finds out at no further cost
        found = await self._read(sandbox)
        return _agrees(sandbox, wanted, decode_policy(found) if found else None)

    async def apply(self, sandbox: Sandbox, wanted: Json | None) -> str:
        """Make sure that the cluster has what is wanted; return why it refuses, or nothing."""
        try:
            if wanted is None:
                await self._remove(sandbox)
            else:
                await self._put(sandbox, wanted)
        except RejectedError as error:
            return str(error)
        except ConflictError as error:
            raise TransientError(f"somebody else is changing the policy: {error}") from error
        return ""

    async def _put(self, sandbox: Sandbox, wanted: Json) -> None:
        try:
            await self.client.request("POST", policies_path(self.namespace), wanted)
        except AlreadyExistsError:
            found = await self._read(sandbox)
            if found is None:
                raise TransientError("the policy came and went") from None
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            body = {**wanted, "metadata": {**wanted["metadata"], **version}}
            await self.client.request("PUT", self._path(sandbox), body)

    async def _remove(self, sandbox: Sandbox) -> None:
        found = await self._read(sandbox)
        if found is None or decode_policy(found).owner_uid != sandbox.uid:
            return
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": found["metadata"]["uid"]},
        }
        try:
            await self.client.request("DELETE", self._path(sandbox), body)
        except NotFoundError:
            return

    async def _read(self, sandbox: Sandbox) -> dict[str, Any] | None:
        try:
            return await self.client.request("GET", self._path(sandbox))
        except NotFoundError:
            return None

    def _path(self, sandbox: Sandbox) -> str:
        return f"{policies_path(self.namespace)}/{naming.policy_name(sandbox.name)}"


def _agrees(sandbox: Sandbox, wanted: Json | None, found: OwnedPolicy | None) -> bool:
    # One that belongs to a sandbox of the same name that is gone goes by itself.
    own = found if found and found.owner_uid == sandbox.uid else None
    if wanted is None or own is None:
        return wanted is None and own is None
    return own.spec == wanted["spec"]
