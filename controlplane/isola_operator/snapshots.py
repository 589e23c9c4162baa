"""The cluster around the snapshots: what is seen of it, and what can be done to it.

As `world` is for sandboxes: `observe` reads and `perform` acts, and neither judges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.catalogue import asker
from isola_lifecycle.durations import span
from isola_lifecycle.errors import AlreadyExistsError, NotFoundError, RejectedError
from isola_lifecycle.sandbox.observation import PodPhase
from isola_lifecycle.seen import Refusal
from isola_lifecycle.snapshot.commands import (
    Command,
    CreateJob,
    CreateRemoval,
    DeleteJob,
    DeleteRemoval,
)
from isola_lifecycle.snapshot.fold import DELETE, fold
from isola_lifecycle.snapshot.leaving import REMOVAL_PATIENCE
from isola_lifecycle.snapshot.observation import (
    Container,
    Job,
    Namesake,
    Observation,
    Sandbox,
)
from isola_lifecycle.snapshot.state import State
from isola_operator.jobs import JobPod, OwnedJob, decode_job
from isola_operator.keeper import Keeper
from isola_operator.manifests.job import APP, APP_LABEL, JobSettings, adopting, removing, taking
from isola_operator.pods import OwnedPod, decode_pod
from isola_operator.world import FORBIDDEN, pods_path
from isola_store.client import ConflictError, KubernetesClient
from isola_store.port import SandboxStore, Snapshot
from isola_store.reflector import Reflector


def job_selector(sandbox_namespace: str) -> dict[str, str]:
    """Return the query for the Jobs, and their pods, of a namespace's snapshots.

    Several installations may have theirs in one namespace, beside Jobs that are nobody's.
    """
    ours = f"{APP_LABEL}={APP},{naming.SUBJECT_NAMESPACE_LABEL}={sandbox_namespace}"
    return {"labelSelector": f"{ours},{naming.ROOTFS_SNAPSHOT.uid_label}"}


def jobs_path(namespace: str) -> str:
    """Return the path of a namespace's Jobs."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


@dataclass(frozen=True, slots=True)
class SnapshotCluster:
    """The `World` of the snapshots of a real cluster.

    Args:
        client: Where requests go.
        keeper: Does what is done to every object.
        snapshots: Local copy of the snapshots.
        sandboxes: Where the sandboxes are.
        jobs: Local copy of the snapshots' Jobs.
        job_pods: Local copy of the pods of these.
        namespace: Where snapshots and sandboxes live.
        vouched: Whether the API server vouches for what a RootfsSnapshot says of who asked for it.
        settings: What every Job gets.
    """

    client: KubernetesClient
    keeper: Keeper[Snapshot]
    snapshots: Reflector[Snapshot]
    sandboxes: SandboxStore
    jobs: Reflector[OwnedJob]
    job_pods: Reflector[JobPod]
    namespace: str
    vouched: bool
    settings: JobSettings

    def recall(self, name: str) -> Snapshot | None:
        """Return the RootfsSnapshot from the local copy, or None."""
        return self.snapshots.get(name)

    async def observe(self, item: Snapshot, state: State, *, now: datetime) -> Observation:
        """Return what is seen of a snapshot's world."""
        spec = item.spec
        told = item.annotations.get(naming.CALLER_ANNOTATION, "")
        new = item.log.version == 0
        removing = state.object_goes and item.deleting
        return Observation(
            now=now,
            deleting=item.deleting,
            finalizer=naming.FINALIZER in item.finalizers,
            caller=asker(told, vouched=self.vouched),
            request_id=item.annotations.get(naming.REQUEST_ID_ANNOTATION, ""),
            traceparent=item.annotations.get(naming.TRACEPARENT_ANNOTATION, ""),
            enabled=bool(self.settings.bucket_url),
            snapshot_name=item.snapshot_name,
            adopts=bool(spec.get("adopt")),
            sandbox_name=spec.get("sandboxName", ""),
            sandbox_uid=spec.get("sandboxUID", ""),
            container_name=spec.get("containerName", ""),
            timeout=span(spec.get("timeoutSeconds", 300)),
            time_to_live=span(spec.get("ttlSecondsAfterFinished", 300)),
            replaces=bool(spec.get("replace")),
            deletes_object=spec.get("deletionPolicy") == DELETE,
            namesakes=self._namesakes(item),
            sandbox=await self._sandbox(spec.get("sandboxName", "")) if new else None,
            job=None if new else await self._job(item, naming.job_name(item.name)),
            removal=await self._job(item, naming.removal_name(item.name)) if removing else None,
        )

    async def perform(self, item: Snapshot, command: Command, seen: Observation) -> Observation:
        """Carry out a command and return what is seen after it."""
        match command:
            case CreateJob() if seen.adopts:
                return await self._create(item, adopting(item, self.settings), seen)
            case CreateJob():
                source = fold(item.log).source
                if source is None:
                    return seen
                return await self._create(item, taking(item, source, self.settings), seen)
            case CreateRemoval():
                seconds = int(REMOVAL_PATIENCE.total_seconds())
                return await self._create(item, removing(item, seconds, self.settings), seen)
            case DeleteJob(uid):
                await self._delete(naming.job_name(item.name), uid)
                return replace(seen, job=seen.job and replace(seen.job, deleting=True))
            case DeleteRemoval(uid):
                await self._delete(naming.removal_name(item.name), uid)
                gone = seen.removal and replace(seen.removal, deleting=True)
                return replace(seen, removal=gone)
            case _:
                return await self.keeper.perform(item, command, seen)

    def _namesakes(self, item: Snapshot) -> tuple[Namesake, ...]:
        name, found = item.snapshot_name, list[Namesake]()
        for other in self.snapshots.list():
            if other.uid != item.uid and other.snapshot_name == name:
                state = fold(other.log)
                older = (other.created_at, other.name) < (item.created_at, item.name)
                ended = state.outcome is not None
                stored_at = state.stored.at if state.stored else None
                found.append(
                    Namesake(name=other.name, older=older, ended=ended, stored_at=stored_at)
                )
        return tuple(found)

    async def _sandbox(self, name: str) -> Sandbox | None:
        if not name:
            return None
        # Past every copy, and once in a snapshot's life: what is taken is decided by this.
        try:
            sandbox = await self.sandboxes.read(name)
        except NotFoundError:
            return None
        owned = await self._pod(naming.pod_name(name))
        if owned is None or owned.owner_uid != sandbox.uid:
            return Sandbox(uid=sandbox.uid)
        pod = owned.pod
        return Sandbox(
            uid=sandbox.uid,
            running=pod.phase == PodPhase.RUNNING and not pod.deleting and not pod.unreachable,
            node=pod.node,
            containers=tuple(
                Container(
                    name=c.name, running=c.running, id=c.id, image=c.image, image_id=c.image_id
                )
                for c in pod.containers
            ),
        )

    async def _pod(self, name: str) -> OwnedPod | None:
        try:
            path = f"{pods_path(self.namespace)}/{name}"
            return decode_pod(await self.client.request("GET", path))
        except NotFoundError:
            return None

    async def _job(self, item: Snapshot, name: str) -> Job | None:
        if not self.settings.bucket_url:
            return None  # nor is there a namespace for Jobs
        found = self.jobs.get(name) or await self._read_job(name)
        if found is None or found.owner_uid != item.uid:
            return None
        troubles = (pod.trouble for pod in self.job_pods.list() if pod.job == name)
        message = "; ".join(filter(None, (found.job.message, *troubles)))
        return replace(found.job, message=message)

    async def _read_job(self, name: str) -> OwnedJob | None:
        try:
            return decode_job(await self.client.request("GET", self._path(name)))
        except NotFoundError:
            return None

    async def _create(
        self, item: Snapshot, manifest: dict[str, Any], seen: Observation
    ) -> Observation:
        name = manifest["metadata"]["name"]
        try:
            created = await self.client.request("POST", self._jobs, manifest)
        except AlreadyExistsError:
            found = await self._read_job(name)
            if found is None or found.owner_uid != item.uid:
                message = f"another Job has the name {name}; delete or rename it"
                return replace(seen, refusal=Refusal(final=False, message=message))
            job = found.job
        except NotFoundError as error:
            return replace(seen, refusal=Refusal(final=False, message=str(error)))
        except RejectedError as error:
            final = error.code != FORBIDDEN  # a quota or an admission policy may think again
            return replace(seen, refusal=Refusal(final=final, message=str(error)))
        else:
            job = decode_job(created).job
        if name == naming.job_name(item.name):
            return replace(seen, job=job)
        return replace(seen, removal=job)

    async def _delete(self, name: str, uid: str) -> None:
        await delete_job(self.client, self.settings.namespace, name, uid)

    def _path(self, name: str) -> str:
        return f"{self._jobs}/{name}"

    @property
    def _jobs(self) -> str:
        return jobs_path(self.settings.namespace)


async def delete_job(client: KubernetesClient, namespace: str, name: str, uid: str) -> None:
    """Have a Job go, and its pods before it; harmless where it is gone, or another has its name."""
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid},
        "propagationPolicy": "Foreground",  # it goes after its pods
    }
    try:
        await client.request("DELETE", f"{jobs_path(namespace)}/{name}", body)
    except (NotFoundError, ConflictError):
        return
