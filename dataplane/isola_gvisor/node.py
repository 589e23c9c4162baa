"""The node's object in the API server: which runtimes its kubelet knows, and our labels.

Two requests of the plainest sort, by the standard library: this image carries no package at all.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY = "isola.run/gvisor"
SOURCE = "isola.run/gvisor-from"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class UnreachableError(Exception):
    """The API server did not answer, or not so; later it may."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node, by the API server that `url` names (https://HOST:PORT)."""

    url: str
    name: str

    def handlers(self) -> set[str] | None:
        """Return the runtimes that the kubelet reports; None where it reports none."""
        reported = self._request("GET").get("status", {}).get("runtimeHandlers")
        return None if reported is None else {each["name"] for each in reported}

    def label(self, source: str | None) -> None:
        """Say by whom the node has gVisor, `installer` or `node`; None takes the labels away."""
        labels = {READY: "ready" if source else None, SOURCE: source}
        self._request("PATCH", {"metadata": {"labels": labels}})

    def _request(self, method: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 # https, and the chart's own
            f"{self.url}/api/v1/nodes/{self.name}",
            method=method,
            data=json.dumps(body).encode() if body else None,
            headers={
                "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
                "Content-Type": "application/merge-patch+json",
            },
        )
        trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        try:
            with urllib.request.urlopen(request, context=trust, timeout=20) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise UnreachableError(f"{method} node {self.name}: {error.read().decode()}") from error
        except OSError as error:
            raise UnreachableError(f"{method} node {self.name}: {error}") from error
