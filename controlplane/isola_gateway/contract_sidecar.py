"""Every operation of a sidecar: those of the contract on a sandbox, seen from within it.

The gateway relays an operation to the same path without the sandbox, so that one table describes
both. What differs stands here. The sidecar itself imports none of this: it checks by hand, for the
time that pydantic takes to import, and a test holds its routes to this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from isola_gateway import contract, contract_commands, contract_files, parameters
from isola_gateway.operation import Operation
from isola_rest.files import WrittenFile
from isola_rest.models import Reachable

_SANDBOX = re.compile(r"^/v1/sandboxes/\{\w+\}/")
_SANDBOX_IDS = (parameters.ID, parameters.SANDBOX_ID)

# Of every operation: the code that a sidecar is there to watch may ask for nothing (403), and
# nothing lies between client and sidecar that could fail (502).
_MORE_PROBLEMS = {HTTPStatus.FORBIDDEN}
_NO_PROBLEMS = {HTTPStatus.BAD_GATEWAY}

_DIFFERENT: Mapping[str, Mapping[str, Any]] = {
    contract_files.WRITE_FILE.id: {"success": HTTPStatus.CREATED, "answer": WrittenFile},
}
_DIFFERENT_PARAMETERS = {parameters.WAIT: parameters.SIDECAR_WAIT}


REACHABLE = Operation(
    id="getReachable",
    method="GET",
    path="/v1/network/reachable",
    tag="Network",
    summary="Tell whether the sandbox reaches an address, which shows that a change is in force",
    answer=Reachable,
    parameters=(parameters.ADDRESS, parameters.PORT, parameters.REACHABLE_WAIT),
    problems=(HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY),
)


def _within(operation: Operation) -> Operation:
    """Return an operation on a sandbox as its sidecar has it."""
    kept = [p for p in operation.parameters if p not in _SANDBOX_IDS]
    problems = {*operation.problems, *_MORE_PROBLEMS} - _NO_PROBLEMS
    return replace(
        operation,
        path=_SANDBOX.sub("/v1/", operation.path),
        parameters=tuple(_DIFFERENT_PARAMETERS.get(p, p) for p in kept),
        problems=tuple(sorted(problems)),
        **_DIFFERENT.get(operation.id, {}),
    )


OPERATIONS: tuple[Operation, ...] = (
    *map(_within, (*contract_commands.COMMANDS, *contract_files.FILES)),
    REACHABLE,
    *map(_within, (contract.HEALTH, contract.VERSION)),
)
