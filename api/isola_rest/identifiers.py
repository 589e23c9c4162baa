"""The grammar of names in the REST contract, and names that nobody chose.

A sandbox's name is also part of Kubernetes object names that must fit a label of 63 characters
(`<sandbox>-custom-netpol`, `<snapshot>-job`): that is where the odd lengths come from.
"""

from __future__ import annotations

import secrets
import string
from hashlib import sha256
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
# Printable ASCII; HTTP takes no spaces at either end.
IdempotencyKey = Annotated[str, StringConstraints(pattern="^[!-~]([ -~]{0,253}[!-~])?$")]

_LENGTH = 22
_REST = string.ascii_lowercase + string.digits


def generated_id() -> str:
    """Return a new id that nobody can guess: 22 characters, 113 bits."""
    first = secrets.choice(string.ascii_lowercase)
    return first + "".join(secrets.choice(_REST) for _ in range(_LENGTH - 1))


def derived_id(key: str, of: str = "sandbox") -> str:
    """Return the id that belongs to an idempotency key, always the same one.

    It is as hard to guess as the key is: clients that choose random keys, as they should, lose
    nothing.

    Args:
        key: The key.
        of: What the id is of: one key may stand for one thing of each kind.
    """
    # 256 bits for 113: each id is as likely as any other, but for one part in 2**142.
    number = int.from_bytes(sha256(f"isola.run/{of}\n{key}".encode()).digest())
    number, first = divmod(number, len(string.ascii_lowercase))
    rest: list[str] = []
    for _ in range(_LENGTH - 1):
        number, digit = divmod(number, len(_REST))
        rest.append(_REST[digit])
    return string.ascii_lowercase[first] + "".join(rest)
