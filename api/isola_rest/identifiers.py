"""The grammar of names in the REST contract, and names that nobody chose.

A sandbox's name is also part of Kubernetes object names that must fit a label of 63 characters
(`<sandbox>-custom-netpol`, `<snapshot>-job`): that is where the odd lengths come from.
"""

from __future__ import annotations

import secrets
import string
from typing import Annotated

from pydantic import StringConstraints

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_PATTERN = f"^{_LABEL}$"
SUBDOMAIN_PATTERN = rf"^{_LABEL}(\.{_LABEL})*$"
COMMAND_ID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

SandboxId = Annotated[
    str, StringConstraints(min_length=1, max_length=47, pattern=SUBDOMAIN_PATTERN)
]
SnapshotName = Annotated[
    str, StringConstraints(min_length=1, max_length=59, pattern=SUBDOMAIN_PATTERN)
]
ContainerName = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=LABEL_PATTERN)
]
CommandId = Annotated[str, StringConstraints(pattern=COMMAND_ID_PATTERN)]

_LENGTH = 22
_REST = string.ascii_lowercase + string.digits


def generated_id() -> str:
    """Return a new id that nobody can guess: 22 characters, 113 bits."""
    first = secrets.choice(string.ascii_lowercase)
    return first + "".join(secrets.choice(_REST) for _ in range(_LENGTH - 1))
