"""Why a sandbox ended, or what it is waiting for, in a sentence that a person can act on.

What is said follows from the log alone. A reason that this release does not know is told in the
words of its entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isola_lifecycle.catalogue import UNKNOWN_CALLER
from isola_lifecycle.log import Condition, Status
from isola_lifecycle.sandbox.conditions import Reason, Type
from isola_lifecycle.sandbox.fold import State, fold
from isola_lifecycle.verdict import Verdict, stopped
from isola_lifecycle.wording import readable


@dataclass(frozen=True, slots=True)
class _Ending:
    cause: str
    advice: str


_FIX_AND_CREATE = "correct that and create the sandbox anew"

ENDINGS = {
    Reason.COMPLETED: _Ending("It finished by itself", ""),
    Reason.LIFETIME_EXCEEDED: _Ending(
        "Its time was over", "if it had more to do, give the next one a longer timeoutSeconds"
    ),
    Reason.ERROR: _Ending("Its program failed", "read what the program printed"),
    Reason.OOM_KILLED: _Ending("It ran out of memory", "raise resources.limits.memory"),
    Reason.START_ERROR: _Ending(
        "Its container could not be started",
        "check that the command exists in the image and may be executed",
    ),
    Reason.EVICTED: _Ending(
        "Its node ran short of something and evicted it",
        "create it anew; requests near what it really uses keep it from being the first to go",
    ),
    Reason.NODE_LOST: _Ending(
        "Its node was lost", "create it anew; what was on that node cannot be had back"
    ),
    Reason.POD_DELETED: _Ending(
        "Its pod was deleted by something else than Isola",
        "the API server's audit log tells by whom; to end a sandbox, delete the Sandbox",
    ),
    Reason.POD_FAILED: _Ending(
        "Kubernetes gave its pod up", "the reason is the node's: look at the node, then try again"
    ),
    Reason.STARTUP_TIMEOUT: _Ending(
        "It did not start in time",
        "a large image may need more: raise startupTimeoutSeconds, or look at the node",
    ),
    Reason.SPEC_INVALID: _Ending("It asks for what cannot be", _FIX_AND_CREATE),
    Reason.CLUSTER_RANGES_UNKNOWN: _Ending(
        "It was not known what it must not reach",
        "set the ranges in the chart's values, or let the operator read nodes and ServiceCIDRs",
    ),
    Reason.POLICY_REJECTED: _Ending(
        "The API server does not accept its NetworkPolicy",
        "look at admission policies of the namespace and at the operator's rights",
    ),
    Reason.NETWORK_NOT_ENFORCED: _Ending(
        "Its network was not isolated",
        "look whether the network plugin enforces NetworkPolicy on that node, and how fast",
    ),
    Reason.POD_REJECTED: _Ending("The API server does not accept its pod", _FIX_AND_CREATE),
    Reason.POD_FORBIDDEN: _Ending(
        "The API server did not let its pod in",
        "look at quotas, admission policies and limit ranges of the namespace",
    ),
    Reason.UNSCHEDULABLE: _Ending(
        "No node had room for it", "ask for less, remove other sandboxes, or add a node"
    ),
    Reason.SNAPSHOT_NOT_FOUND: _Ending(
        "The snapshot it starts from was not there",
        "check its name; a snapshot that takes longer to appear needs more startupTimeoutSeconds",
    ),
    Reason.SNAPSHOT_PENDING: _Ending(
        "The snapshot it starts from was not finished in time", "raise startupTimeoutSeconds"
    ),
    Reason.SNAPSHOT_FAILED: _Ending(
        "The snapshot it starts from failed", "take it again, then create the sandbox anew"
    ),
    Reason.SNAPSHOT_DAMAGED: _Ending(
        "The snapshot it starts from is damaged, and none of it was used",
        "take it again; whoever writes to the bucket beside Isola, or its disks, damaged it",
    ),
    Reason.SNAPSHOT_BASE_MISMATCH: _Ending(
        "The snapshot it starts from belongs onto another image",
        "use the image that the snapshot was taken from",
    ),
    Reason.SNAPSHOT_TOO_LARGE: _Ending(
        "The snapshot it starts from is larger than what a node keeps of all",
        "raise snapshotMounter.cacheSizeLimit in the chart's values",
    ),
    Reason.NODE_CACHE_FULL: _Ending(
        "Its node had no room for the snapshot it starts from",
        "raise snapshotMounter.cacheSizeLimit in the chart's values, or start fewer at once",
    ),
    Reason.BUCKET_UNAVAILABLE: _Ending(
        "The bucket with the snapshot it starts from did not answer",
        "look at the service and at the way there from the nodes, then create the sandbox anew",
    ),
    Reason.BUCKET_DENIED: _Ending(
        "The bucket refused the snapshot it starts from",
        "check the bucket's name and the rights of the mounter's credentials",
    ),
    Reason.RUNTIME_UNSUPPORTED: _Ending(
        "It starts from a snapshot, which its runtime cannot",
        "operator.sandboxRuntime.runtimeClassName must be one that runs gVisor",
    ),
    Reason.IMAGE_PULL_FAILED: _Ending(
        "Its image could not be pulled", "check the image's name and tag, and the pull secrets"
    ),
    Reason.IMAGE_NAME_INVALID: _Ending(
        "Its image has no valid name", "an image reference looks like registry/name:tag"
    ),
    Reason.CONTAINER_CONFIG_INVALID: _Ending(
        "Its container is configured to use what is not there",
        "check the secrets and config maps that its template refers to",
    ),
    Reason.CONTAINER_CREATION_FAILED: _Ending(
        "The node could not create its container",
        "check its command and the node's container runtime",
    ),
}

REQUESTS = {
    Reason.CLIENT_REQUEST: _Ending("A client of the REST API asked for its end", ""),
    Reason.OBJECT_DELETED: _Ending(
        "The Sandbox was deleted through the Kubernetes API",
        "the API server's audit log tells by whom",
    ),
    Reason.LIFETIME_EXCEEDED: ENDINGS[Reason.LIFETIME_EXCEEDED],
}

# What a shell, or the kernel, means by an exit code.
_EXIT_CODES = {
    126: "code 126: the command is there, but cannot be executed",
    127: "code 127: the command was not found in the image",
    134: "code 134 is SIGABRT: the program gave up; read what it printed",
    137: "code 137 is SIGKILL: something killed it, perhaps for its use of memory",
    139: "code 139 is SIGSEGV: the program crashed",
    143: "code 143 is SIGTERM: something asked the program to end",
}


def verdict(entries: Sequence[Condition]) -> Verdict:
    """Return what a log, oldest entry first, comes to."""
    state = fold(entries)
    decided = _first(entries, Type.SUCCEEDED)
    if decided:
        return _of_an_end(state, entries, decided)
    if asked := _first(entries, Type.TERMINATION_REQUESTED):
        return _of_a_request(state, entries, asked)
    return _of_the_living(state, entries)


def _of_an_end(state: State, entries: Sequence[Condition], decided: Condition) -> Verdict:
    ending = _known(ENDINGS, decided.reason)
    code = state.outcome.exit_code if state.outcome else None
    advice = ending.advice
    if decided.reason == Reason.ERROR and code is not None:
        advice = _EXIT_CODES.get(code, advice)
    when = _when(entries, decided.last_transition_time)
    sentence = f"{ending.cause}{when}: {stopped(decided.message)}"
    return Verdict(sentence, "" if advice in sentence else advice)


def _of_a_request(state: State, entries: Sequence[Condition], asked: Condition) -> Verdict:
    ending = _known(REQUESTS, asked.reason)
    _, _, caller = asked.actor.partition(" on behalf of ")
    by = f", by {caller}" if caller not in {"", UNKNOWN_CALLER} else ""
    request = f" (request {asked.request_id})" if asked.request_id else ""
    when = _when(entries, asked.last_transition_time)
    left = "" if state.terminated else ", and its removal is under way"
    return Verdict(f"{ending.cause}{by}{request}{when}{left}.", ending.advice)


def _of_the_living(state: State, entries: Sequence[Condition]) -> Verdict:
    where = f" on node {state.node}" if state.node else ""
    if state.ready:
        return Verdict(f"It is alive: it accepts commands{where}.")
    if state.trouble:
        known = _known(ENDINGS, state.trouble.reason)
        waits = f"It is not running, and may be once this passes: {stopped(state.trouble.message)}"
        return Verdict(waits, "" if known.advice in waits else known.advice)
    if state.ever_ready:
        # Where nothing was said of that for long, it is in an archive that is not at hand.
        newest = next((e for e in reversed(entries) if e.type == Type.READY), None)
        why = f": {stopped(newest.message)}" if newest else "."
        return Verdict(f"It is alive{where}, but accepts no commands{why}")
    if not entries:
        return Verdict(
            "The operator has not taken it on yet.", "if that lasts, look whether the operator runs"
        )
    return Verdict(f"It is starting{where}: {stopped(entries[-1].message)}")


def _known(endings: dict[Reason, _Ending], reason: str) -> _Ending:
    known = next((ending for word, ending in endings.items() if word == reason), None)
    return known or _Ending(f"It ended ({reason})", "")


def _first(entries: Sequence[Condition], about: Type) -> Condition | None:
    return next((entry for entry in entries if entry.type == about), None)


def _when(entries: Sequence[Condition], at: datetime) -> str:
    for entry in entries:
        if entry.type == Type.READY and entry.status == Status.TRUE:
            return f", {readable(at - entry.last_transition_time)} after it became ready"
    begun = entries[0]
    if begun.type != Type.ACCEPTED:
        return ""  # its beginning is in an archive that is not at hand
    return f", {readable(at - begun.last_transition_time)} after it was accepted and never ready"
