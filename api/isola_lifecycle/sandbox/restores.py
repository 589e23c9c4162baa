"""What ends a sandbox that starts from snapshots before it is ever ready.

No container of the user's starts before the archives are on the node, verified (`RootfsStaged`);
until then the sandbox waits, at most for its start-up time-out. What can never be staged ends it at
once, and so does a base image that shows only when the container runs: a tag that was moved since
the snapshot was taken.
"""

from __future__ import annotations

from collections.abc import Iterator

from isola_lifecycle.images import same_id
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.conditions import UNRESTORABLE, Key, Reason
from isola_lifecycle.sandbox.facts import closing, is_foreign
from isola_lifecycle.sandbox.fold import State
from isola_lifecycle.sandbox.observation import Container, Observation, Pod


def of_another_runtime(state: State, seen: Observation) -> Iterator[Fact]:
    """End a sandbox whose pod runs where archives are not understood, and would be left out."""
    pod = seen.pod
    if pod and pod.unrestorable and not is_foreign(state, seen):
        message = (
            f"Node {pod.node} does not run the pod with gVisor ({pod.unrestorable}), which alone"
            " can start containers from snapshots: choose another RuntimeClass"
        )
        yield from closing(state, Reason.RUNTIME_UNSUPPORTED, message)


def of_a_failed_restore(state: State, _: Observation) -> Iterator[Fact]:
    """End a sandbox one of whose archives will never be on its node."""
    for told in state.staging:
        if not told.staged and told.reason in UNRESTORABLE:
            yield from closing(state, told.reason, told.message, {Key.CONTAINER: told.container})
            return


def of_another_base(state: State, seen: Observation) -> Iterator[Fact]:
    """End a sandbox one of whose archives lies on another image than it was taken from."""
    if seen.pod is None or state.ever_ready or is_foreign(state, seen):
        return
    for container, expected in _restored(state, seen.pod):
        if container.image_id and not same_id(container.image_id, expected):
            message = (
                f"Container {container.name} runs image {container.image} as {container.image_id},"
                f" but its snapshot was taken from {expected}: the name means another image by"
                " now; name the image by that digest, or take the snapshot anew"
            )
            data = {Key.CONTAINER: container.name}
            yield from closing(state, Reason.SNAPSHOT_BASE_MISMATCH, message, data)
            return


def is_judged(state: State, seen: Observation) -> bool:
    """Return whether of every container that starts from a snapshot the image is known."""
    if seen.pod is None or state.ever_ready:
        return True
    return all(container.image_id for container, _ in _restored(state, seen.pod))


def unstaged(state: State, seen: Observation, pod: Pod) -> str:
    """Return which archives nobody has told of, for whoever wonders what is awaited, or empty."""
    silent = [each for each in seen.sources if state.staging_of(each.container) is None]
    if not silent:
        return ""
    names = ", ".join(f"{each.snapshot} (container {each.container})" for each in silent)
    return (
        f"nothing was heard from node {pod.node} of the snapshots it starts from, {names}: look"
        " whether Isola's snapshot mounter runs there"
    )


def _restored(state: State, pod: Pod) -> Iterator[tuple[Container, str]]:
    for container in pod.containers:
        told = state.staging_of(container.name)
        if told and told.staged and told.image_id:
            yield container, told.image_id
