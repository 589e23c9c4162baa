"""Where one Service has its addresses, followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isola_store.reflector import Lister, Reflector

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """A Service.

    Attributes:
        name: Its name.
        addresses: In the cluster: IPv4, IPv6 or both; none for a headless one.
    """

    name: str
    addresses: tuple[str, ...]


def decode_service(item: Json) -> Service:
    """Return the Service that a Kubernetes object stands for."""
    told = item.get("spec", {}).get("clusterIPs", ())
    return Service(item["metadata"]["name"], tuple(each for each in told if each != "None"))


def service_reflector(client: Lister, namespace: str, name: str) -> Reflector[Service]:
    """Return a copy of the Service of that name, alone; `run` keeps it current."""
    path = f"/api/v1/namespaces/{namespace}/services"
    query = {"fieldSelector": f"metadata.name={name}"}
    return Reflector(client, path, decode_service, query=query)
