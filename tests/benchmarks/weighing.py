"""How many bytes are written to an API server: of every version of every object, as JSON."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from isola_store.client import KubernetesClient


@asynccontextmanager
async def weighing(
    client: KubernetesClient, collections: Sequence[str]
) -> AsyncGenerator[Mapping[str, int]]:
    """Yield bytes of what is written from now on, by the path of its collection."""
    sizes: defaultdict[str, int] = defaultdict(int)

    async def weigh(path: str, version: str) -> None:
        query = {"resourceVersion": version}
        async for event in client.watch(path, query, timeout_seconds=3600):
            if event["type"] != "DELETED":
                sizes[path] += len(json.dumps(event["object"], separators=(",", ":")))

    lists = [(await client.request("GET", path))["metadata"] for path in collections]
    watches = [
        asyncio.create_task(weigh(path, listed["resourceVersion"]))
        for path, listed in zip(collections, lists, strict=True)
    ]
    try:
        yield sizes
    finally:
        for watch in watches:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
