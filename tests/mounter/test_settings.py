"""A wrong setting is named, with what it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from isola_mounter.settings import settings_from
from isola_process.environment import SettingsError

NEEDED = {
    "ISOLA_SANDBOX_NAMESPACE": "ns",
    "ISOLA_NODE_NAME": "n1",
    "ISOLA_BUCKET_URL": "s3://bucket",
    "ISOLA_MOUNTER_FOLDER": "/archives",
    "ISOLA_MOUNTER_CACHE_LIMIT": "10Gi",
}


def test_what_the_chart_sets_is_enough() -> None:
    settings = settings_from(NEEDED)
    assert (settings.namespace, settings.node) == ("ns", "n1")
    assert (settings.folder, settings.cache_bytes) == (Path("/archives"), 10 * 2**30)
    assert (settings.silence_seconds, settings.health_port) == (10, 8081)


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("500M", 500_000_000), ("1.5Ki", 1536)])
def test_a_size_is_a_quantity(text: str, size: int) -> None:
    assert settings_from({**NEEDED, "ISOLA_MOUNTER_CACHE_LIMIT": text}).cache_bytes == size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, " ") for name in NEEDED),
        ("ISOLA_MOUNTER_CACHE_LIMIT", "much"),
        ("ISOLA_MOUNTER_CACHE_LIMIT", "0"),
        ("ISOLA_HEALTH_PORT", "http"),
        ("ISOLA_BUCKET_SILENCE_SECONDS", "0"),
        ("ISOLA_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_from({**NEEDED, name: value})
