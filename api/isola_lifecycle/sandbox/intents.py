"""What somebody asks of a sandbox, as facts for its log. An intent is recorded before its effect.

Whoever asks and is asked for nothing new is answered with no facts: a repeated request is the
same request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from isola_lifecycle.archive import packed
from isola_lifecycle.catalogue import GATEWAY, on_behalf, traced
from isola_lifecycle.durations import span
from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.conditions import Key, Reason, Type
from isola_lifecycle.sandbox.fold import State
from isola_lifecycle.sandbox.network import Network, described, faults, json_of
from isola_lifecycle.sandbox.ranges import blocked


class Obstacle(Enum):
    """Why an intent cannot be."""

    ENDED = auto()
    NOT_RUNNING = auto()
    PAST = auto()
    IMPOSSIBLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """An intent that comes too late, or cannot be.

    Attributes:
        obstacle: Why, for programs.
        message: Why, for people.
        field: What of the request is in the way, below its own name; empty for all of it.
    """

    obstacle: Obstacle
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, when.

    Attributes:
        caller: As far as known, or empty.
        request_id: The request's id.
        now: The instant, UTC.
        traceparent: The trace that it belongs to, or empty.
    """

    caller: str
    request_id: str
    now: datetime
    traceparent: str = ""


def request_termination(
    state: State, *, caller: str, request_id: str, traceparent: str = ""
) -> tuple[Fact, ...]:
    """Return what the gateway appends when a client asks for the sandbox's end."""
    if state.termination_requested or state.terminated:
        return ()
    return (
        Fact(
            type=Type.TERMINATION_REQUESTED,
            status=Status.TRUE,
            reason=Reason.CLIENT_REQUEST,
            message="A client of the REST API asked for the sandbox to be deleted",
            actor=on_behalf(GATEWAY, caller),
            request_id=request_id,
            data=traced(traceparent),
        ),
    )


def change_lifetime(
    state: State, promised: timedelta | None, seconds: int, asker: Asker
) -> tuple[Fact, ...] | Denial:
    """Return what the gateway appends when a client gives the sandbox another lifetime.

    Args:
        state: What the log amounts to.
        promised: The specification's lifetime, or None.
        seconds: The whole lifetime, counted from acceptance, as at creation.
        asker: Who asks.
    """
    if _is_over(state):
        return Denial(obstacle=Obstacle.ENDED, message=f"The sandbox is {state.phase}")
    wanted = span(seconds)
    if wanted == state.lifetime(promised):
        return ()
    end = (state.accepted_at or asker.now) + wanted
    if end <= asker.now:
        message = f"It would have ended at {end:%Y-%m-%dT%H:%M:%SZ}; delete it to end it now"
        return Denial(obstacle=Obstacle.PAST, message=message)
    message = f"A client of the REST API set the lifetime to {seconds} s from acceptance"
    data = {Key.TIMEOUT_SECONDS.value: str(seconds)}
    return (_told(Type.TIMEOUT_CHANGED, Reason.CLIENT_REQUEST, message, asker, data),)


def change_network(
    state: State, promised: Network, wanted: Network, asker: Asker
) -> tuple[Fact, ...] | Denial:
    """Return what the gateway appends when a client wants the sandbox to reach something else.

    The operator answers with `NetworkConfigured`: it also knows what is blocked in this cluster.

    Args:
        state: What the log amounts to.
        promised: The specification's settings.
        wanted: The new settings, all of them.
        asker: Who asks.
    """
    if _is_over(state):
        return Denial(obstacle=Obstacle.ENDED, message=f"The sandbox is {state.phase}")
    present = state.network_wanted(promised)
    if wanted == present and not state.network_unseen:
        return ()
    if not state.ready:
        message = "The network can be changed once the sandbox runs, which it does not at present"
        return Denial(obstacle=Obstacle.NOT_RUNNING, message=message)
    for field, message in faults(wanted, blocked()):
        return Denial(obstacle=Obstacle.IMPOSSIBLE, message=message, field=field)
    if fixed := _fixed(promised, wanted):
        field, message = fixed
        return Denial(obstacle=Obstacle.IMPOSSIBLE, message=message, field=field)
    data = packed(json_of(wanted), Key.NETWORK.value)
    if data is None:
        return Denial(obstacle=Obstacle.IMPOSSIBLE, message="These are too many settings")
    message = f"A client of the REST API changed the network. {described(wanted)}"
    return (_told(Type.NETWORK_CHANGED, Reason.CLIENT_REQUEST, message, asker, data),)


def confirm_network(state: State, change: int, asker: Asker) -> tuple[Fact, ...]:
    """Return what the gateway appends when it has seen a change of the network in force.

    Args:
        state: What the log amounts to.
        change: Number of the entry that asked for it.
        asker: Who does.
    """
    if _is_over(state) or state.network_change != change or not state.door_wanted(""):
        return ()
    message = "Seen from within the sandbox: the change is in force"
    return (_told(Type.NETWORK_ENFORCED, Reason.SEEN_IN_FORCE, message, asker),)


def _is_over(state: State) -> bool:
    return bool(state.outcome or state.termination_requested or state.terminated)


def _told(
    about: Type, reason: Reason, message: str, asker: Asker, data: Mapping[str, str] | None = None
) -> Fact:
    return Fact(
        type=about,
        status=Status.TRUE,
        reason=reason,
        message=message,
        actor=on_behalf(GATEWAY, asker.caller),
        request_id=asker.request_id,
        data={**(data or {}), **traced(asker.traceparent)},
    )


_AT_START = "a pod's name servers are fixed at its start: "


def _fixed(promised: Network, wanted: Network) -> tuple[str, str] | None:
    """Return which setting cannot change under a running pod, and why, if one would."""
    if wanted.rate != promised.rate:
        return "egressRateLimitBytesPerSecond", (
            "gVisor reads the rate once, at the start of the pod: it cannot change afterwards;"
            " give the value that it was created with, or create another sandbox"
        )
    if (wanted.domains is None) != (promised.domains is None):
        return "allowedEgressDomains", _AT_START + (
            "give it, perhaps empty, where the sandbox was created with it, and leave it out where"
            " it was not"
        )
    taken_away = "those that it was created with can be taken away and given back, and no others"
    if not set(wanted.nameservers) <= set(promised.resolvers):
        return "nameservers", _AT_START + taken_away
    if wanted.cluster_dns and not promised.cluster_dns:
        return "allowClusterDNS", _AT_START + taken_away
    return None
