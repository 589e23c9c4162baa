"""Every operation of the REST API: what routing, validation and the OpenAPI document go by.

A row is all there is to say about an operation's shape. `binding` checks requests against it,
`openapi` prints it, and the application refuses to start when a row has no view.
"""

from __future__ import annotations

from isola_gateway import parameters, preferences
from isola_gateway.contract_commands import COMMANDS
from isola_gateway.contract_files import FILES
from isola_gateway.contract_snapshots import SNAPSHOTS
from isola_gateway.operation import EVENTS, REPLAYED, TEXT, Operation
from isola_rest.egress import NetworkRefusals
from isola_rest.models import (
    ChangeSandboxRequest,
    CreateSandboxRequest,
    Health,
    History,
    RecordList,
    SandboxList,
    SandboxResponse,
    Version,
)

CREATE_SANDBOX = Operation(
    id="createSandbox",
    method="POST",
    path="/v1/sandboxes",
    tag="Sandboxes",
    summary="Create a sandbox",
    success=201,
    answer=SandboxResponse,
    body=CreateSandboxRequest,
    parameters=(parameters.IDEMPOTENCY_KEY, parameters.PREFER),
    headers={
        REPLAYED: "`true` where an earlier request under this key made the sandbox.",
        preferences.APPLIED: "`wait=N` where the request preferred that, with the N granted.",
    },
    problems=(400, 408, 409, 413, 415, 422, 429, 503),
)
LIST_SANDBOXES = Operation(
    id="listSandboxes",
    method="GET",
    path="/v1/sandboxes",
    tag="Sandboxes",
    summary="List sandboxes, oldest first; or follow them, as server-sent events",
    answer=SandboxList,
    stream=EVENTS,
    parameters=(parameters.LABELS, parameters.STATUS, parameters.LIMIT, parameters.CURSOR),
    problems=(422, 503),
)
GET_SANDBOX = Operation(
    id="getSandbox",
    method="GET",
    path="/v1/sandboxes/{id}",
    tag="Sandboxes",
    summary="Show a sandbox",
    answer=SandboxResponse,
    parameters=(parameters.ID, parameters.WAIT_FOR_START),
    problems=(404, 422, 503),
)
GET_HISTORY = Operation(
    id="getSandboxHistory",
    method="GET",
    path="/v1/sandboxes/{id}/history",
    tag="Sandboxes",
    summary="Show all that happened to a sandbox, also once it is deleted",
    answer=History,
    stream=EVENTS,
    parameters=(
        parameters.ID,
        parameters.UID,
        parameters.ORDER,
        parameters.FOLLOW,
        parameters.LAST_SEQUENCE,
    ),
    problems=(404, 422, 503),
)
LIST_RECORDS = Operation(
    id="listRecords",
    method="GET",
    path="/v1/records",
    tag="Sandboxes",
    summary="List sandboxes, or snapshots, that are gone and whose history is on record, the latest"
    " first",
    answer=RecordList,
    parameters=(parameters.OF_KIND, parameters.LIMIT, parameters.CURSOR),
    problems=(422, 503),
)
LIST_REFUSALS = Operation(
    id="listNetworkRefusals",
    method="GET",
    path="/v1/sandboxes/{id}/network/refusals",
    tag="Sandboxes",
    summary="Show what a sandbox was refused on its way out by name",
    answer=NetworkRefusals,
    parameters=(parameters.ID,),
    problems=(404, 422, 429, 503),
)
CHANGE_SANDBOX = Operation(
    id="changeSandbox",
    method="PATCH",
    path="/v1/sandboxes/{id}",
    tag="Sandboxes",
    summary="Give a living sandbox another lifetime, or let it reach something else",
    description="A change of the network is in force when the answer comes, for new connections."
    " The rate, the name servers and whether there is a list of names are fixed at the start. 503:"
    " the change is on record and was not seen in force yet; the same request waits on.",
    answer=SandboxResponse,
    body=ChangeSandboxRequest,
    parameters=(parameters.ID,),
    problems=(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
DELETE_SANDBOX = Operation(
    id="deleteSandbox",
    method="DELETE",
    path="/v1/sandboxes/{id}",
    tag="Sandboxes",
    summary="End a sandbox; one that does not exist has ended",
    success=204,
    parameters=(parameters.ID,),
    problems=(422, 429, 503),
)


def _probe(name: str, path: str, summary: str, *, problems: tuple[int, ...] = ()) -> Operation:
    return Operation(
        id=name,
        method="GET",
        path=path,
        tag="Operations",
        summary=summary,
        answer=Health,
        problems=problems,
    )


HEALTH = _probe("getHealth", "/health", "Is the process alive?")
HEALTHZ = _probe("getHealthz", "/healthz", "Is the process alive?")
READY = _probe("getReady", "/ready", "Can it serve?", problems=(503,))
READYZ = _probe("getReadyz", "/readyz", "Can it serve?", problems=(503,))
VERSION = Operation(
    id="getVersion",
    method="GET",
    path="/version",
    tag="Operations",
    summary="What is running?",
    answer=Version,
)
METRICS = Operation(
    id="getMetrics",
    method="GET",
    path="/metrics",
    tag="Operations",
    summary="Counts, in Prometheus' text format",
    answer=(TEXT,),
)

OPERATIONS: tuple[Operation, ...] = (
    CREATE_SANDBOX,
    LIST_SANDBOXES,
    GET_SANDBOX,
    GET_HISTORY,
    LIST_RECORDS,
    LIST_REFUSALS,
    CHANGE_SANDBOX,
    DELETE_SANDBOX,
    *COMMANDS,
    *FILES,
    *SNAPSHOTS,
    HEALTH,
    HEALTHZ,
    READY,
    READYZ,
    VERSION,
    METRICS,
)
