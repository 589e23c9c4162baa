"""From the API server into the directory: what sandboxes may reach, and where their pods are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isola_egress.directory import Directory, Grant, Place, decode_place
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.network import network_of
from isola_store.client import KubernetesClient
from isola_store.kubernetes import decode_sandbox, sandboxes_path
from isola_store.reflector import Reflector
from isola_store.services import service_reflector

Json = Mapping[str, Any]


def decode_grant(item: Json) -> Grant:
    """Return what a Sandbox may reach by name, as its log says."""
    sandbox = decode_sandbox(item)
    network = fold(sandbox.log).network_in_force(network_of(sandbox.spec.get("network")))
    return Grant(
        name=sandbox.name,
        uid=sandbox.uid,
        version=sandbox.log.version,
        domains=network.names,
        ipv6=network.ipv6,
    )


class Following:
    """Keeps a directory current.

    Args:
        client: Where from.
        namespace: Where the sandboxes live.
        own_namespace: Where our Service is.
        service: Its name.
        directory: What learns of them.
    """

    def __init__(
        self,
        client: KubernetesClient,
        namespace: str,
        own_namespace: str,
        service: str,
        directory: Directory,
    ) -> None:
        sandboxes = Reflector(client, sandboxes_path(namespace), decode_grant)
        pods: Reflector[Place] = Reflector(
            client,
            f"/api/v1/namespaces/{namespace}/pods",
            decode_place,
            query={"labelSelector": "isola.run/sandbox=true"},
        )
        self._services = service_reflector(client, own_namespace, service)
        self.copies: tuple[Reflector[Any], ...] = (sandboxes, pods, self._services)
        self._service = service
        sandboxes.subscribe(lambda name: directory.put_grant(name, sandboxes.get(name)))
        pods.subscribe(lambda name: directory.put_place(name, pods.get(name)))

    @property
    def synced(self) -> bool:
        """Return whether everything that is there has been read once."""
        return all(copy.synced for copy in self.copies) and bool(self.addresses())

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses that allowed names have; none while the Service is not there."""
        found = self._services.get(self._service)
        return found.addresses if found else ()
