from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from egress.scene import Scene, make_certificate, playing


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the world's TLS servers."""
    folder = tmp_path_factory.mktemp("certificate")
    return make_certificate(folder, "example.com", "*.example.com", "other.org")


@pytest.fixture
async def scene(certificate: Path) -> AsyncGenerator[Scene]:
    """The component and a world around it."""
    async with playing(certificate) as made:
        yield made
