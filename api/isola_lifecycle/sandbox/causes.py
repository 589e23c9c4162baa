"""What Kubernetes says about a pod and its containers, in the words of our catalogue."""

from __future__ import annotations

from isola_lifecycle.sandbox.conditions import Reason
from isola_lifecycle.sandbox.fold import Trouble
from isola_lifecycle.sandbox.observation import Container, Pod

# Why a container waits: `kubelet/images/types.go` and `kubelet/kuberuntime`. Other reasons
# (`ContainerCreating`, `PodInitializing`) pass by themselves.
_WAITING = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "ErrImageNeverPull": Reason.IMAGE_PULL_FAILED,
    "ImageInspectError": Reason.IMAGE_PULL_FAILED,
    "RegistryUnavailable": Reason.IMAGE_PULL_FAILED,
    "SignatureValidationFailed": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_NAME_INVALID,
    "CreateContainerConfigError": Reason.CONTAINER_CONFIG_INVALID,
    "CreateContainerError": Reason.CONTAINER_CREATION_FAILED,
    "RunContainerError": Reason.CONTAINER_CREATION_FAILED,
}

_ADVICE = {
    Reason.IMAGE_PULL_FAILED: "check the image's name and tag, and the pull secrets",
    Reason.IMAGE_NAME_INVALID: "an image reference looks like registry/name:tag",
    Reason.CONTAINER_CONFIG_INVALID: "check what its template refers to",
    Reason.CONTAINER_CREATION_FAILED: "check its command and the node's container runtime",
}

# Why a container ended.
_ENDS = {
    "Completed": Reason.COMPLETED,
    "OOMKilled": Reason.OOM_KILLED,
    "StartError": Reason.START_ERROR,
    "ContainerCannotRun": Reason.START_ERROR,
}

# Reasons of a pod's condition `DisruptionTarget`: the controllers that give up on a node's pods,
# `pkg/controller/tainteviction` and `pkg/controller/podgc`.
_NODE_LOSSES = frozenset({"DeletionByTaintManager", "DeletionByPodGC"})


def trouble_of(pod: Pod | None) -> Trouble | None:
    """Return what keeps the pod's first troubled container from starting, if anything does."""
    for container in pod.containers if pod else ():
        if reason := _WAITING.get(container.waiting_reason):
            said = container.waiting_message or container.waiting_reason
            message = (
                f"Container {container.name} (image {container.image}) cannot start: {said};"
                f" {_ADVICE[reason]}"
            )
            return Trouble(reason.value, message, container.name)
    return None


def exit_of(container: Container) -> tuple[Reason, str]:
    """Return why a container ended, for programs and for people."""
    reason = _ENDS.get(container.exit_reason, Reason.ERROR)
    message = f"Container {container.name} exited with code {container.exit_code}"
    if reason == Reason.OOM_KILLED:
        message += ": it used more memory than its limit; raise resources.limits.memory"
    elif container.exit_message:
        message += f": {container.exit_message}"
    return reason, message


def is_given_up(pod: Pod) -> bool:
    """Return whether Kubernetes says that nobody answers for this pod any more."""
    return pod.unreachable or pod.disruption_reason in _NODE_LOSSES
