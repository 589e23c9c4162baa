"""Scheduler and kubelet of an API server without nodes: pods get on because a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from isola_lifecycle.errors import LifecycleError, NotFoundError
from isola_store.client import MERGE_PATCH, KubernetesClient
from support.kubernetes_server import NAMESPACE

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@dataclass(frozen=True)
class Kubelet:
    """The one node's kubelet, and the scheduler.

    Attributes:
        client: A way to the API server.
        namespace: Where the pods are that `prepare` is for.
    """

    client: KubernetesClient
    namespace: str = NAMESPACE

    async def prepare(self) -> None:
        """Make sure of what pods of sandboxes need."""
        for path, body in (
            (
                f"/api/v1/namespaces/{self.namespace}/serviceaccounts",
                {"metadata": {"name": "default"}},
            ),
            (
                "/apis/node.k8s.io/v1/runtimeclasses",
                {"metadata": {"name": "gvisor"}, "handler": "runsc"},
            ),
        ):
            try:
                await self.client.request("POST", path, body)
            except LifecycleError:
                continue  # a test before this one has made it

    async def serve(self, place: Callable[[dict[str, Any]], Awaitable[str]]) -> None:
        """Start every pod, at the address that `place` gives; take away what goes; for ever."""
        for turn in count():
            # Those that go are looked for among all, which takes longer the more there are.
            query = {"fieldSelector": "spec.nodeName="} if turn % 20 else {}
            for pod in (await self.client.request("GET", PODS, query=query))["items"]:
                name = pod["metadata"]["name"].removesuffix("-pod")
                with suppress(LifecycleError):  # it may be gone meanwhile
                    if pod["metadata"].get("deletionTimestamp"):
                        await self.remove(name)
                    elif not pod["spec"].get("nodeName"):
                        names = [container["name"] for container in pod["spec"]["containers"]]
                        await self.start(name, await place(pod), names)
            await asyncio.sleep(0.05)

    async def start(
        self, sandbox: str, address: str = "10.0.0.1", containers: Sequence[str] = ("sandbox0",)
    ) -> None:
        """Schedule a sandbox's pod and start everything in it."""
        await self.bind(sandbox)
        await self.run(sandbox, address, containers)

    async def bind(self, sandbox: str) -> None:
        """Schedule a sandbox's pod."""
        target = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
        body = {"metadata": {"name": f"{sandbox}-pod"}, "target": target}
        await self.client.request("POST", f"{PODS}/{sandbox}-pod/binding", body)

    async def run(
        self, sandbox: str, address: str = "10.0.0.1", containers: Sequence[str] = ("sandbox0",)
    ) -> None:
        """Start everything in a pod that has its node."""
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        await self._says(
            sandbox,
            phase="Running",
            podIP=address,
            podIPs=[{"ip": address}],
            conditions=[{"type": "Ready", "status": "True"}],
            containerStatuses=[_container(running, ready=True, name=name) for name in containers],
        )

    async def stuck(self, sandbox: str) -> None:
        """Let the pod's image be one that cannot be pulled."""
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        await self._says(sandbox, containerStatuses=[_container(waiting, ready=False)])

    async def ready(self, sandbox: str, *, ready: bool) -> None:
        """Let a running pod lose its readiness, or regain it."""
        await self._says(sandbox, conditions=[{"type": "Ready", "status": str(ready)}])

    async def exit(self, sandbox: str, code: int) -> None:
        """End the pod's container."""
        reason = "Error" if code else "Completed"
        ended = {"terminated": {"exitCode": code, "reason": reason}}
        await self._says(
            sandbox,
            phase="Failed" if code else "Succeeded",
            conditions=[{"type": "Ready", "status": "False"}],
            containerStatuses=[_container(ended, ready=False)],
        )

    async def remove(self, sandbox: str) -> None:
        """Take a pod away that is being deleted, as a kubelet does once it has stopped."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        with suppress(NotFoundError):  # one that was never scheduled goes without a kubelet
            await self.client.request("DELETE", f"{PODS}/{sandbox}-pod", body)

    async def _says(self, sandbox: str, **status: Any) -> None:
        path = f"{PODS}/{sandbox}-pod/status"
        await self.client.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)


def _container(state: dict[str, Any], *, ready: bool, name: str = "sandbox0") -> dict[str, Any]:
    return {
        "name": name,
        "image": "i",
        "imageID": "i",
        "ready": ready,
        "restartCount": 0,
        "state": state,
    }
