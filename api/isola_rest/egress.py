"""What a sandbox was refused on its way out by name, as gateways tell it."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from isola_rest.models import Wire


class NetworkRefusal(Wire):
    """Something that a sandbox asked for by name and was not given, as often as it did."""

    reason: str = Field(
        description="`NameNotAllowed`, `PortNotAllowed`, `NameMissing` (a connection that names no"
        " server), `AddressBlocked` (the name leads to a range that no sandbox may reach),"
        " `NotUnderstood` or `TooManyConnections`."
    )
    protocol: str = Field(description="`dns`, `tls`, `http` or `tcp`.")
    name: str | None = Field(default=None, description="Which name, as far as one could be read.")
    address: str | None = Field(default=None, description="Where the name leads, if that is why.")
    port: int | None = Field(
        default=None, description="To which port; absent where the name was only looked up."
    )
    count: int = Field(description="How often.")
    first_time: datetime
    last_time: datetime


class NetworkRefusals(Wire):
    """The latest refusals, the very latest first. Observations: they go with the processes."""

    refusals: list[NetworkRefusal]
    replicas: int = Field(description="How many replicas of the egress component there are.")
    silent: int = Field(description="How many of them did not answer: what they know is missing.")
