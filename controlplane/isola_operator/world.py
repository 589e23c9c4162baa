"""The cluster around the sandboxes: what is seen of it, and what can be done to it.

`observe` reads and `perform` acts; neither judges. Reads come from local copies, except that a
missing pod is looked for on the API server: too much follows from its absence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.catalogue import asker
from isola_lifecycle.durations import span
from isola_lifecycle.errors import AlreadyExistsError, NotFoundError, RejectedError
from isola_lifecycle.sandbox.commands import (
    ApplyPolicy,
    Command,
    CreatePod,
    DeletePod,
    ForcePodAway,
    RequestSnapshot,
)
from isola_lifecycle.sandbox.network import Network, network_of
from isola_lifecycle.sandbox.observation import Observation, Pod
from isola_lifecycle.sandbox.sources import sources_of
from isola_lifecycle.sandbox.state import State
from isola_lifecycle.seen import Refusal
from isola_operator.credentials import fresh
from isola_operator.keeper import Keeper
from isola_operator.keepsakes import Keepsakes, patience
from isola_operator.manifests.faults import faults, network_faults
from isola_operator.manifests.pod import PodSettings, build
from isola_operator.pods import OwnedPod, decode_pod
from isola_operator.policies import Policies
from isola_store.client import ConflictError, KubernetesClient
from isola_store.port import Sandbox
from isola_store.reflector import Reflector

POD_SELECTOR = {"labelSelector": "app.kubernetes.io/managed-by=isola-operator"}
FORBIDDEN = 403


def pods_path(namespace: str) -> str:
    """Return the path of a namespace's pods."""
    return f"/api/v1/namespaces/{namespace}/pods"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The `World` of a real cluster.

    Args:
        client: Where requests go.
        keeper: Does what is done to every object.
        keepsakes: The snapshots that termination policies want.
        sandboxes: Local copy of the sandboxes.
        pods: Local copy of their pods.
        policies: Their NetworkPolicies.
        namespace: Where both live.
        settings: What every pod gets.
        vouched: Whether the API server vouches for what a Sandbox says of who asked for it.
    """

    client: KubernetesClient
    keeper: Keeper[Sandbox]
    keepsakes: Keepsakes
    sandboxes: Reflector[Sandbox]
    pods: Reflector[OwnedPod]
    policies: Policies
    namespace: str
    settings: PodSettings
    vouched: bool

    def recall(self, name: str) -> Sandbox | None:
        """Return the Sandbox from the local copy, or None."""
        return self.sandboxes.get(name)

    async def observe(self, sandbox: Sandbox, state: State, *, now: datetime) -> Observation:
        """Return what is seen of a sandbox's world."""
        spec, lifetime = sandbox.spec, sandbox.spec.get("timeoutSeconds")
        told = sandbox.annotations.get(naming.CALLER_ANNOTATION, "")
        seen = Observation(
            now=now,
            deleting=sandbox.deleting,
            finalizer=naming.FINALIZER in sandbox.finalizers,
            startup_timeout=span(spec.get("startupTimeoutSeconds", 90)),
            lifetime=span(lifetime) if lifetime else None,
            spec_faults=faults(
                spec,
                self.policies.ranges.blocked(),
                self.policies.way_out.now(),
                snapshots=self.keepsakes.enabled,
                restores=bool(self.settings.staging_root),
            ),
            caller=asker(told, vouched=self.vouched),
            request_id=sandbox.annotations.get(naming.REQUEST_ID_ANNOTATION, ""),
            traceparent=sandbox.annotations.get(naming.TRACEPARENT_ANNOTATION, ""),
            network=network_of(spec.get("network")),
            pod=await self._pod(sandbox),
            keeps_for=patience(spec),
            keepsakes=await self.keepsakes.observe(sandbox) if sandbox.deleting else (),
            snapshots_enabled=self.keepsakes.enabled,
            sources=sources_of(spec),
        )
        leaving = sandbox.deleting or state.termination_requested or state.outcome
        hopeless = seen.spec_faults and not state.pod_uid
        return seen if leaving or hopeless else await self._policy(sandbox, state, seen)

    async def _policy(self, sandbox: Sandbox, state: State, seen: Observation) -> Observation:
        ranges, network = self.policies.ranges, state.network_wanted(seen.network)
        if network.needs_cluster_ranges and (unknown := ranges.unknown()):
            return replace(seen, ranges_unknown=unknown)
        if asked := state.network_asked:
            wrong = tuple(network_faults(asked, ranges.blocked(), self.policies.way_out.now()))
            if wrong:
                return replace(seen, network_faults=wrong)
        door = state.door_wanted(self.policies.doors.of(state.network_change))
        lasting = self.policies.wanted(sandbox, network)
        wanted = self.policies.wanted(sandbox, network, door) if door else lasting
        current = await self.policies.is_current(sandbox, wanted)
        return replace(
            seen,
            policy=lasting["metadata"]["name"] if lasting else "",
            door=door,
            policy_current=current,
            policy_ajar=not current and await self._ajar(sandbox, state, network),
        )

    async def _ajar(self, sandbox: Sandbox, state: State, network: Network) -> bool:
        door = state.network_door
        if door is None or not door.closed:
            return False
        had = self.policies.wanted(sandbox, network, door.address)
        return await self.policies.is_current(sandbox, had)

    async def perform(self, sandbox: Sandbox, command: Command, seen: Observation) -> Observation:
        """Carry out a command and return what is seen after it."""
        match command:
            case ApplyPolicy(network, door):
                wanted = self.policies.wanted(sandbox, network, door)
                refusal = await self.policies.apply(sandbox, wanted)
                done = not refusal
                return replace(
                    seen, policy_current=done, policy_applied=done, policy_refusal=refusal
                )
            case CreatePod(network):
                return await self._create_pod(sandbox, network, seen)
            case DeletePod(uid):
                await self._delete_pod(sandbox, uid)
                return replace(seen, pod=seen.pod and replace(seen.pod, deleting=True))
            case ForcePodAway(uid):
                await self._delete_pod(sandbox, uid, gracePeriodSeconds=0)
                return replace(seen, pod=await self._pod_on_server(sandbox), forced=True)
            case RequestSnapshot(container):
                return await self.keepsakes.request(sandbox, container, seen)
            case _:
                return await self.keeper.perform(sandbox, command, seen)

    async def _pod(self, sandbox: Sandbox) -> Pod | None:
        copy = self.pods.get(naming.pod_name(sandbox.name))
        if copy and copy.owner_uid == sandbox.uid:
            return copy.pod
        if sandbox.log.version == 0 and not sandbox.deleting:
            return None  # brand-new: the attempt to create it finds out at no further cost
        return await self._pod_on_server(sandbox)

    async def _pod_on_server(self, sandbox: Sandbox) -> Pod | None:
        found = await self._read_pod(sandbox)
        return found.pod if found and found.owner_uid == sandbox.uid else None

    async def _read_pod(self, sandbox: Sandbox) -> OwnedPod | None:
        try:
            return decode_pod(await self.client.request("GET", self._pod_path(sandbox)))
        except NotFoundError:
            return None

    async def _create_pod(
        self, sandbox: Sandbox, network: Network, seen: Observation
    ) -> Observation:
        manifest: dict[str, Any] = build(
            sandbox, network, self.settings, fresh(), self.policies.way_out.now()
        )
        try:
            created = await self.client.request("POST", pods_path(self.namespace), manifest)
        except AlreadyExistsError:
            return await self._adopt(sandbox, seen)
        except NotFoundError as error:
            return replace(seen, refusal=Refusal(final=False, message=str(error)))
        except RejectedError as error:
            final = error.code != FORBIDDEN  # a quota or an admission policy may think again
            return replace(seen, refusal=Refusal(final=final, message=str(error)))
        return replace(seen, pod=decode_pod(created).pod)

    async def _adopt(self, sandbox: Sandbox, seen: Observation) -> Observation:
        found = await self._read_pod(sandbox)
        if found and found.owner_uid == sandbox.uid:
            return replace(seen, pod=found.pod)
        message = f"another pod has the name {naming.pod_name(sandbox.name)}; delete or rename it"
        return replace(seen, refusal=Refusal(final=False, message=message))

    async def _delete_pod(self, sandbox: Sandbox, uid: str, **options: int) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            **options,
        }
        try:
            await self.client.request("DELETE", self._pod_path(sandbox), body)
        except (NotFoundError, ConflictError):
            return

    def _pod_path(self, sandbox: Sandbox) -> str:
        return f"{pods_path(self.namespace)}/{naming.pod_name(sandbox.name)}"
