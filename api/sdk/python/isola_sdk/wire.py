"""JSON objects of the REST API: how their fields are spelt there, and what all models are."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import VERSION, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

_SPELLINGS = {
    "allowed_egress_cidrs": "allowedEgressCIDRs",
    "allow_cluster_dns": "allowClusterDNS",
    "allow_ipv6_egress": "allowIPv6Egress",
    "object_ttl_seconds": "objectTTLSeconds",
}

# A model is built when it is first used: all of them are a sixth of the client's import. Until
# pydantic 2.14 two threads that meet there get in each other's way.
_BUILT_LATER = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)


def _spelling(name: str) -> str:
    return _SPELLINGS.get(name) or to_camel(name)


class IsolaModel(BaseModel):
    """A JSON object of the REST API: camelCase there, snake_case here."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=_spelling,
        populate_by_name=True,
        extra="ignore",
        defer_build=_BUILT_LATER,
    )

    def wire(self) -> dict[str, Any]:
        """Return it as it is sent: what is None is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
