"""What a sandbox must not reach, so that its gate sees whether its policies are in force.

A canary is a listener that a pod without policies reaches. Three, of different origin, because one
that is dead looks like one that is refused:

    this operator's own address    certainly alive: it is about to create the pod
    the operators' Service         alive also when this operator is replaced before the pod starts
    the API server's Service       alive as long as anything starts; left out where a sandbox may
                                   reach public addresses, because that may be where it really is

The first two have an address of each protocol where pods do: engines write their rules for IPv4 and
for IPv6 one after the other, so that either says nothing of the other. The third has the one that
the kubelet tells of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from isola_lifecycle.errors import LifecycleError
from isola_operator.manifests.network import joined
from isola_store.client import KubernetesClient


async def serve(port: int) -> asyncio.Server:
    """Listen on `port`, and close whatever connects at once."""
    return await asyncio.start_server(_close, port=port)


async def _close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def service_addresses(client: KubernetesClient, namespace: str, name: str) -> tuple[str, ...]:
    """Return the addresses of a Service, or none where it cannot be read."""
    try:
        found = await client.request("GET", f"/api/v1/namespaces/{namespace}/services/{name}")
    except LifecycleError:
        return ()
    return tuple(each for each in found["spec"].get("clusterIPs", ()) if each != "None")


def api_server(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return where pods of this cluster find the API server, as the kubelet told this one."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    return (joined(host, environment.get("KUBERNETES_SERVICE_PORT", "443")),) if host else ()
