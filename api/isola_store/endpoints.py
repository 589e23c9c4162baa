"""Which pods are behind a Service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isola_store.client import Requester, collection

Json = Mapping[str, Any]


def slices_path(namespace: str) -> str:
    """Return the path of a namespace's EndpointSlices."""
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


async def serving(client: Requester, namespace: str, service: str) -> frozenset[str]:
    """Return an address of each pod that serves a Service, those that are about to stop included.

    Raises:
        TransientError: The API server does not say.
    """
    query = {"labelSelector": f"kubernetes.io/service-name={service}"}
    slices, _ = await collection(client, slices_path(namespace), query)
    return addresses_of(slices)


def addresses_of(slices: Iterable[Json]) -> frozenset[str]:
    """Return an address of each pod that these EndpointSlices say to be serving.

    With two families a pod is in two slices; it is the same pod.
    """
    found: dict[str, str] = {}
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            # Absent means true: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices
            if endpoint.get("conditions", {}).get("serving", True) is not False:
                address = endpoint["addresses"][0]
                found.setdefault(endpoint.get("targetRef", {}).get("uid", address), address)
    return frozenset(found.values())
