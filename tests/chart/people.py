"""People who use the API server, and what they hear from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from ssl import create_default_context
from typing import Any

import httpx
import yaml

from support.kubernetes_server import ApiServer

Json = dict[str, Any]

_PLACES = {
    "Pod": ("api/v1", "pods"),
    "Job": ("apis/batch/v1", "jobs"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "CiliumNetworkPolicy": ("apis/cilium.io/v2", "ciliumnetworkpolicies"),
    "Sandbox": ("apis/sandbox.isola.run/v1alpha1", "sandboxes"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
}


@dataclass(frozen=True)
class Somebody:
    """A user of the API server, in one namespace. Over HTTP: kubectl takes a second to begin.

    Attributes:
        client: A way to the API server.
        namespace: Where they work.
        headers: By which they make themselves known.
    """

    client: httpx.Client
    namespace: str
    headers: dict[str, str]

    def speaking_for(self, user: str) -> Somebody:
        """Return the user that they impersonate."""
        return replace(self, headers={**self.headers, "Impersonate-User": user})

    def create(self, body: Json) -> str:
        """Create an object; return the refusal, or empty."""
        return self._ask("POST", self._path(body["kind"]), json=body)

    def attempt(self, body: Json) -> str:
        """Return the refusal to create an object, or empty; nothing is created."""
        return self._ask("POST", self._path(body["kind"]), json=body, params={"dryRun": "All"})

    def patch(self, kind: str, name: str, body: Json, *, below: str = "") -> str:
        """Patch an object, or what is `below` it; return the refusal, or empty."""
        path = self._path(kind, name, below)
        merge = {"Content-Type": "application/merge-patch+json"}
        return self._ask("PATCH", path, content=json.dumps(body), headers=merge)

    def delete(self, kind: str, name: str) -> str:
        """Delete an object; return the refusal, or empty."""
        return self._ask("DELETE", self._path(kind, name))

    def delete_all(self, kind: str) -> str:
        """Delete all objects at once; return the refusal, or empty."""
        return self._ask("DELETE", self._path(kind))

    def read(self, kind: str, name: str) -> Json:
        """Return an object."""
        return self.client.get(self._path(kind, name), headers=self.headers).json()

    def bind(self, pod: str, binding: Json) -> str:
        """Bind a pod to a node, as the scheduler does; return the refusal, or empty."""
        return self._ask("POST", self._path("Pod", pod, "binding"), json=binding)

    def _path(self, kind: str, *below: str) -> str:
        group, plural = _PLACES[kind]
        return "/".join(filter(None, (f"/{group}/namespaces/{self.namespace}/{plural}", *below)))

    def _ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> str:
        answer = self.client.request(
            method, path, headers={**self.headers, **(headers or {})}, **more
        )
        return "" if answer.is_success else str(answer.json()["message"])


def administrator(server: ApiServer, namespace: str) -> Somebody:
    """Return somebody who may do everything."""
    config = yaml.safe_load(server.kubeconfig.read_text())
    authority = config["clusters"][0]["cluster"]["certificate-authority"]
    token = config["users"][0]["user"]["token"]
    context = create_default_context(cafile=authority)
    client = httpx.Client(base_url=server.url, verify=context, timeout=60)  # a busy machine
    return Somebody(client, namespace, {"Authorization": f"Bearer {token}"})
