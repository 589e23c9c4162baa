"""A Job as Kubernetes has it, and why it does not get on. Total, and without judgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.snapshot.observation import Job

Json = Mapping[str, Any]

# What the kubelet says of a container for which nothing is amiss.
_ORDINARY = {"", "ContainerCreating", "PodInitializing"}


@dataclass(frozen=True, slots=True)
class OwnedJob:
    """A Job and whom it belongs to.

    Attributes:
        name: Its name.
        job: What the kernel looks at.
        owner_uid: UID of the RootfsSnapshot that it is for, by its label, or empty.
    """

    name: str
    job: Job
    owner_uid: str


@dataclass(frozen=True, slots=True)
class JobPod:
    """A pod of a Job.

    Attributes:
        name: Its name.
        job: The Job's name.
        trouble: What keeps it from getting on, or empty.
    """

    name: str
    job: str
    trouble: str


def decode_job(item: Json) -> OwnedJob:
    """Return the Job that a Kubernetes object stands for."""
    metadata = item["metadata"]
    conditions = {
        c["type"]: c for c in item.get("status", {}).get("conditions", ()) if c["status"] == "True"
    }
    failed = conditions.get("Failed", {})
    job = Job(
        uid=metadata["uid"],
        deleting="deletionTimestamp" in metadata,
        complete="Complete" in conditions,
        failed="Failed" in conditions,
        message=": ".join(filter(None, (failed.get("reason"), failed.get("message")))),
    )
    owner = metadata.get("labels", {}).get(naming.ROOTFS_SNAPSHOT.uid_label, "")
    return OwnedJob(metadata["name"], job, owner)


def decode_job_pod(item: Json) -> JobPod:
    """Return what is to be known of a pod of a Job."""
    metadata, status = item["metadata"], item.get("status", {})
    labels = metadata.get("labels", {})
    job = labels.get("batch.kubernetes.io/job-name") or labels.get("job-name", "")
    return JobPod(metadata["name"], job, "; ".join(_troubles(status)))


def _troubles(status: Json) -> Iterator[str]:
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"not scheduled: {condition.get('message', 'no reason given')}"
    if status.get("reason"):
        yield f"{status['reason']}: {status.get('message', '')}"
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field, ()):
            if trouble := _trouble(container):
                yield f"container {container['name']}: {trouble}"


def _trouble(container: Json) -> str:
    state, last = container.get("state", {}), container.get("lastState", {})
    waiting = state.get("waiting", {})
    reason = waiting.get("reason", "")
    told = [f"{reason}: {waiting.get('message', '')}"] if reason not in _ORDINARY else []
    ended: Json = state.get("terminated") or last.get("terminated") or {}
    if ended.get("exitCode"):
        told.append(f"{ended.get('reason', 'Error')}, exit code {ended['exitCode']}")
    return "; ".join(told)
