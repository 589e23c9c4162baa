"""A node without gVisor: a scheduler, a kubelet that respects gates, and the mounter's process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.errors import LifecycleError
from isola_store.client import MERGE_PATCH, KubernetesClient
from mounter.scene import IMAGE_ID
from support.kubernetes_server import NAMESPACE, free_port
from support.program import Program


@dataclass
class Node:
    """The one node.

    Attributes:
        client: A way to the API server.
        name: Its name, which pods of other tests' nodes do not have.
        folder: What the mounter has of its disk.
        image_id: What it makes of every image.
        started_from: What each sandbox started from, by name of its container.
        namespace: Where the sandboxes are.
    """

    client: KubernetesClient
    name: str
    folder: Path
    image_id: str = IMAGE_ID
    started_from: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    namespace: str = NAMESPACE

    @property
    def pods(self) -> str:
        """Return the path of the pods."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def staged(self) -> Path:
        """Return the folder below which archives are staged."""
        return self.folder / "staged"

    def mounter(self, kubeconfig: str, bucket_url: str, **settings: str) -> Program:
        """Return the mounter of this node; it does not run yet."""
        self.folder.mkdir(exist_ok=True)
        environment = {
            "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
            "ISOLA_NODE_NAME": self.name,
            "ISOLA_BUCKET_URL": bucket_url,
            "ISOLA_MOUNTER_FOLDER": str(self.folder),
            "ISOLA_MOUNTER_CACHE_LIMIT": "1Gi",
            "ISOLA_BUCKET_SILENCE_SECONDS": "8",  # a busy machine is silent, too
            "ISOLA_KUBECONFIG": kubeconfig,
            "ISOLA_METRICS_PORT": str(free_port()),
            "ISOLA_HEALTH_PORT": str(free_port()),
            **settings,
        }
        return Program("isola_mounter", environment, self.folder.parent / "mounter.log")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run scheduler and kubelet."""
        task = asyncio.create_task(self._serve())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _serve(self) -> None:
        while True:
            for pod in (await self.client.request("GET", self.pods))["items"]:
                with suppress(LifecycleError):  # it may be gone meanwhile
                    await self._look_at(pod)
            await asyncio.sleep(0.1)

    async def _look_at(self, pod: dict[str, Any]) -> None:
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
        if node is None:
            target = {"apiVersion": "v1", "kind": "Node", "name": self.name}
            body = {"metadata": {"name": name}, "target": target}
            await self.client.request("POST", f"{self.pods}/{name}/binding", body)
        elif node != self.name:
            return
        elif pod["metadata"].get("deletionTimestamp"):
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
            await self.client.request("DELETE", f"{self.pods}/{name}", body)
        elif pod["status"].get("phase") != "Running" and self._gate_is_open(pod):
            await self._start(pod)

    def _gate_is_open(self, pod: dict[str, Any]) -> bool:
        paths = [v["hostPath"]["path"] for v in pod["spec"].get("volumes", ()) if "hostPath" in v]
        for each in paths:
            Path(each).mkdir(parents=True, exist_ok=True)  # DirectoryOrCreate
        return all((Path(each) / naming.STAGED_MARK).exists() for each in paths)

    async def _start(self, pod: dict[str, Any]) -> None:
        # As gVisor does: by the annotation, whatever lies there.
        annotations: dict[str, str] = pod["metadata"].get("annotations", {})
        name = pod["metadata"]["name"]
        self.started_from[naming.sandbox_name(name)] = _read(annotations)
        status = {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [self._container(c) for c in pod["spec"]["containers"]],
        }
        path = f"{self.pods}/{name}/status"
        await self.client.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)

    def _container(self, container: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": self.image_id,
            "containerID": "containerd://abc",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }


def _read(annotations: dict[str, str]) -> dict[str, bytes]:
    return {
        key.removeprefix(naming.ROOTFS_ANNOTATION): Path(path).read_bytes()
        for key, path in annotations.items()
        if key.startswith(naming.ROOTFS_ANNOTATION)
    }
