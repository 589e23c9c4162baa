"""The objects of one kind, and the records of their logs, as kubectl gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from isola_kubectl.kinds import Kind
from isola_kubectl.kubectl import Kubectl, Object
from isola_lifecycle import naming


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one kind in the namespace that kubectl looks into.

    Attributes:
        kubectl: The way there.
        kind: Which kind.
    """

    kubectl: Kubectl
    kind: Kind

    def get(self, name: str) -> Object | None:
        """Return the object of that name, or None."""
        plural = f"{self.kind.resource.plural}.{naming.GROUP}"
        text = self.kubectl.run("get", plural, name, "--ignore-not-found", "--output=json")
        return json.loads(text) if text.strip() else None

    def all(self) -> list[Object]:
        """Return every object."""
        plural = f"{self.kind.resource.plural}.{naming.GROUP}"
        return json.loads(self.kubectl.run("get", plural, "--output=json"))["items"]

    def records(self, **labels: str) -> list[Object]:
        """Return the records with these labels: `name`, `uid`, or none for all."""
        of = self.kind.resource
        keys = {"name": of.name_label, "uid": of.uid_label}
        selector = ",".join(f"{keys[key]}={value}" for key, value in labels.items() if value)
        plural = f"{of.record_plural}.{naming.GROUP}"
        text = self.kubectl.run("get", plural, f"--selector={selector}", "--output=json")
        return json.loads(text)["items"]

    def listing(self, name: str = "") -> tuple[list[Object], str]:
        """Return the objects, or those of one name, and the version from which to watch them."""
        found = json.loads(self.kubectl.run("get", f"--raw={self._path(name)}"))
        return found["items"], found["metadata"]["resourceVersion"]

    def watch(self, version: str, name: str = "") -> Iterator[Object]:
        """Yield the watch events after `version` until the API server ends the watch.

        Raises:
            KubectlError: The connection broke.
        """
        path = self._path(name, f"watch=true&resourceVersion={version}")
        for line in self.kubectl.lines("get", f"--raw={path}"):
            yield json.loads(line)

    def _path(self, name: str, query: str = "") -> str:
        only = f"&fieldSelector=metadata.name%3D{name}" if name else ""
        namespace = self.kubectl.namespace()
        group = f"/apis/{naming.GROUP}/{naming.VERSION}"
        return f"{group}/namespaces/{namespace}/{self.kind.resource.plural}?{query}{only}"
