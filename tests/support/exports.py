"""What was exported, read back as the log that it came from."""

from __future__ import annotations

from typing import Any

from isola_exporter.model import Record
from isola_lifecycle.log import Condition, Status


def entry_of(record: Record) -> Condition:
    """Return the entry that a record stands for."""
    told: dict[str, Any] = dict(record.attributes)
    data = {
        key.removeprefix("isola.data."): str(value)
        for key, value in told.items()
        if key.startswith("isola.data.")
    }
    return Condition(
        type=told["isola.type"],
        status=Status(told["isola.status"]),
        reason=told["isola.reason"],
        message=record.message,
        actor=told["isola.actor"],
        request_id=told.get("isola.request_id", ""),
        data=data,
        sequence=told["isola.sequence"],
        last_transition_time=record.at,
        observed_generation=told["isola.generation"],
        digest=told["isola.digest"],
    )
