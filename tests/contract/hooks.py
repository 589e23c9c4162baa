"""What schemathesis does beside generating: loaded by `schemathesis.toml`, in its process."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import httpx
import schemathesis

_SANDBOX = os.environ["SANDBOX"]
_KEY = "Idempotency-Key"
_KEY_LENGTH = 255
_WELL_FORMED = re.compile("[!-~]([ -~]{0,253}[!-~])?")
_LONGEST_SECONDS = 2
_SCRIPT = "echo out; echo err >&2; cat; exit 3"
_COMMANDS = (["cat"], ["true"], ["sh", "-c", _SCRIPT], ["no-such-program"])

_hook: Any = getattr(schemathesis, "hook")  # noqa: B009 - typed in part only
_numbers = itertools.count()
_answers: defaultdict[str, Counter[int]] = defaultdict(Counter)


@_hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Ask for what can be had: random requests find no program, and use a key twice.

    What is wrong on purpose stays wrong.
    """
    number, name = next(_numbers), _id(case)
    headers: dict[str, Any] = case.headers or {}
    if _WELL_FORMED.fullmatch(headers.get(_KEY, "")):
        headers[_KEY] = f"{number}{headers[_KEY]}"[:_KEY_LENGTH].strip()
    if not (case.meta and case.meta.generation.mode.is_positive):
        return
    if name == "createCommand":
        case.body["timeoutSeconds"] = 1 + number % _LONGEST_SECONDS  # so that every stream ends
        if number % 4:
            case.body["args"] = _COMMANDS[number % len(_COMMANDS)]
    if name in ("writeCommandStdin", "closeCommandStdin", "killCommand") and number % 2:
        reader = _reader()
        case.path_parameters |= {each: reader[each] for each in case.path_parameters}
    if name in ("changeSandbox", "deleteSandbox") and case.path_parameters["id"] == _SANDBOX:
        case.path_parameters["id"] = _mortal()


@_hook
def after_call(_: Any, case: Any, response: Any) -> None:
    """Count."""
    _answers[_id(case)][response.status_code] += 1


def _id(case: Any) -> str:
    return case.operation.definition.raw["operationId"]


def _reader() -> dict[str, str]:
    """Start a command that reads until its input ends; others have ended when they are asked."""
    body = {"args": ["cat"], "timeoutSeconds": 10}
    started = httpx.post(os.environ["COMMANDS"], json=body).raise_for_status()
    return {"sandboxId": _SANDBOX, "commandId": started.json()["id"]}


def _mortal() -> str:
    """Create a sandbox that may end, unlike the one that the other requests are about."""
    body = {"podTemplate": {"containers": [{"image": "busybox"}]}}
    url = f"{os.environ['URL']}/v1/sandboxes"
    made = httpx.post(url, json=body, headers={"Prefer": "wait=9"}, timeout=10).raise_for_status()
    return made.json()["id"]


@atexit.register
def _write() -> None:
    Path(os.environ["TALLY"]).write_text(json.dumps(_answers))
