from __future__ import annotations

import pytest

from gateway.fakes import Client, World, world


@pytest.fixture
async def gateway() -> World:
    """A gateway whose world is empty."""
    return world()


@pytest.fixture
async def client(gateway: World) -> Client:
    """A client of it, in process."""
    return gateway.app().test_client()
