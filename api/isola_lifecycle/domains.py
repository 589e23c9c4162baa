"""Names that a sandbox may reach, and names as they come over the wire. Pure and total.

An entry of `spec.network.allowedEgressDomains`:

    example.com             that name alone, on the ports 80 and 443
    *.example.com           every name below it, however deep, but not itself
    db.example.com:5432     on that port and no other

Names are compared as DNS compares them: without regard to case or to a dot at the end. What looks
like an address is no name; names beyond ASCII are written in their ASCII form (`xn--…`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

STANDARD_PORTS = (80, 443)
NAME_LENGTH = 253
MOST_DOMAINS = 32

# Underscores are in no host name by the book, and in many below a wildcard. That the last label
# begins with a letter keeps addresses out: `1.2.3.4`, `0x7f.1`.
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?"
_HOST = re.compile(_NAME)
_DOMAIN = re.compile(rf"(?P<below>\*\.)?(?P<name>{_NAME})(?::(?P<port>[1-9][0-9]{{0,4}}))?")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Domain:
    """What one entry allows.

    Attributes:
        name: In lower case, without `*.`.
        below: Whether it is all names below that are meant, and not the name itself.
        ports: On which ports.
    """

    name: str
    below: bool
    ports: tuple[int, ...] = STANDARD_PORTS

    def covers(self, name: str) -> bool:
        """Return whether `name`, in the form of `host_name`, is meant."""
        return name.endswith("." + self.name) if self.below else name == self.name


def domain(text: str) -> Domain | None:
    """Return what an entry allows, or None where it is none."""
    parts = _DOMAIN.fullmatch(text)
    if not parts or len(parts["name"]) > NAME_LENGTH:
        return None
    port = int(parts["port"]) if parts["port"] else None
    if port and port > _LAST_PORT:
        return None
    return Domain(parts["name"], bool(parts["below"]), (port,) if port else STANDARD_PORTS)


def host_name(text: str) -> str | None:
    """Return a name off the wire in the form in which names are compared; None if it is none."""
    name = text.lower().removesuffix(".") if text.isascii() else ""
    return name if len(name) <= NAME_LENGTH and _HOST.fullmatch(name) else None


def named(domains: Iterable[Domain], name: str) -> bool:
    """Return whether `name`, in the form of `host_name`, may be reached on any port."""
    return any(each.covers(name) for each in domains)


def permitted(domains: Iterable[Domain], name: str, port: int) -> bool:
    """Return whether `name`, in the form of `host_name`, may be reached on `port`."""
    return any(port in each.ports and each.covers(name) for each in domains)
