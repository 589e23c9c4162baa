"""What the replicas of the egress component know: asked all at once, and put together.

Each replica knows only what came its way. None of it is kept here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from isola_lifecycle.naming import EGRESS_CONTROL_PORT
from isola_rest.egress import NetworkRefusal, NetworkRefusals

# A replica waits up to 5 s for the news that it is asked for.
ANSWER_SECONDS = 8.0
MOST_REFUSALS = 100

Json = Mapping[str, Any]


class Replicas:
    """The replicas, as they are at each question.

    Args:
        session: To ask by.
        find: Returns their addresses.
        port: Where they answer.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        find: Callable[[], Awaitable[Collection[str]]],
        *,
        port: int = EGRESS_CONTROL_PORT,
    ) -> None:
        self._session = session
        self._find = find
        self._port = port

    async def refusals(self, uid: str) -> NetworkRefusals:
        """Return what the sandbox with that UID was refused.

        Raises:
            TransientError: It is not known which replicas there are.
        """
        answers = await self._ask(f"/v1/sandboxes/{uid}/refusals")
        told = [answer["refusals"] for answer in answers if answer is not None]
        return NetworkRefusals(
            refusals=merged(told), replicas=len(answers), silent=answers.count(None)
        )

    async def lagging(self, uid: str, version: int) -> int:
        """Return how many replicas do not go by entry `version` of a sandbox's log, after a while.

        Raises:
            TransientError: It is not known which replicas there are.
        """
        answers = await self._ask(f"/v1/sandboxes/{uid}/version?atLeast={version}")
        return sum(answer is None or answer["version"] < version for answer in answers)

    async def _ask(self, path: str) -> list[Json | None]:
        addresses = await self._find()
        return await asyncio.gather(*(self._ask_one(address, path) for address in addresses))

    async def _ask_one(self, address: str, path: str) -> Json | None:
        url = URL.build(scheme="http", host=address, port=self._port).join(URL(path))
        try:
            limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            async with self._session.get(url, timeout=limit) as response:
                response.raise_for_status()
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None


async def nowhere() -> Collection[str]:
    """Return the addresses of replicas where the component is not installed."""
    return ()


def merged(told: Iterable[Iterable[Json]]) -> list[NetworkRefusal]:
    """Return what replicas tell, the same thing once, the latest first."""
    found: dict[tuple[Any, ...], NetworkRefusal] = {}
    for item in (item for some in told for item in some):
        one = NetworkRefusal.model_validate({k: v or None for k, v in item.items()}, strict=False)
        key = (one.reason, one.protocol, one.name, one.address, one.port)
        found[key] = _together(found[key], one) if key in found else one
    latest_first = sorted(found.values(), key=lambda one: one.last_time, reverse=True)
    return latest_first[:MOST_REFUSALS]


def _together(one: NetworkRefusal, other: NetworkRefusal) -> NetworkRefusal:
    return one.model_copy(
        update={
            "count": one.count + other.count,
            "first_time": min(one.first_time, other.first_time),
            "last_time": max(one.last_time, other.last_time),
        }
    )
