"""Behind the API server's back: objects as etcd holds them, read and written there.

By etcd's own HTTP gateway (`/v3/kv/…`, keys and values in base64), which every etcd serves.
"""

from __future__ import annotations

import json
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isola_lifecycle import naming
from support.kubernetes_server import NAMESPACE, NODE_NAMESPACE

Object = dict[str, Any]


@dataclass(frozen=True)
class Etcd:
    """An etcd, below the API server that uses it.

    Attributes:
        url: Its address.
    """

    url: str

    def read(self, plural: str, name: str) -> Object:
        """Return an object as it is stored."""
        (found,) = self._ask("range", key=_key(plural, name))["kvs"]
        return json.loads(b64decode(found["value"]))

    def write(self, plural: str, name: str, stored: Object) -> None:
        """Store an object as it is given: no schema, no rule, no admission."""
        value = b64encode(json.dumps(stored).encode()).decode()
        self._ask("put", key=_key(plural, name), value=value)

    def edit(self, plural: str, name: str, change: Callable[[Object], None]) -> None:
        """Change a stored object in place."""
        stored = self.read(plural, name)
        change(stored)
        self.write(plural, name, stored)

    def remove(self, plural: str, name: str) -> None:
        """Remove a stored object: no finalizer, no trace."""
        self._ask("deleterange", key=_key(plural, name))

    def clear(self) -> None:
        """Remove all that our components look at, whatever finalizers it has: at once."""
        for prefix in (
            f"/registry/{naming.GROUP}/",
            f"/registry/pods/{NAMESPACE}/",
            f"/registry/jobs/{NODE_NAMESPACE}/",
            f"/registry/networkpolicies/{NAMESPACE}/",
            "/registry/minions/",  # nodes, by the name that they had first
        ):
            after = prefix[:-1] + chr(ord("/") + 1)
            self._ask("deleterange", key=_encoded(prefix), range_end=_encoded(after))

    def _ask(self, what: str, **body: str) -> Any:
        request = urllib.request.Request(f"{self.url}/v3/kv/{what}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def _key(plural: str, name: str) -> str:
    return _encoded(f"/registry/{naming.GROUP}/{plural}/{NAMESPACE}/{name}")


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()
