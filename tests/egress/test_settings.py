from __future__ import annotations

import pytest

from isola_egress.settings import settings_from
from isola_process.environment import SettingsError

GIVEN = {
    "ISOLA_SANDBOX_NAMESPACE": "isola-sandboxes",
    "ISOLA_NAMESPACE": "isola-system",
    "ISOLA_EGRESS_SERVICE": "isola-egress",
    "ISOLA_POD_IPS": "10.1.2.3,fd00::0003",
    "ISOLA_EGRESS_PORTS": "80,443",
}


def test_what_is_given_is_read() -> None:
    settings = settings_from(GIVEN)
    assert settings.addresses == ("10.1.2.3", "fd00::3")
    assert settings.ports == (80, 443)
    assert settings.nameservers == ()


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_from({**GIVEN, name: " "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISOLA_POD_IPS", "10.1.2.300"),
        ("ISOLA_EGRESS_PORTS", "80,https"),
        ("ISOLA_EGRESS_PORTS", "0"),
        ("ISOLA_EGRESS_PORTS", "65536"),
        ("ISOLA_EGRESS_CONNECTIONS", "many"),
        ("ISOLA_EGRESS_IDLE_SECONDS", "0"),
        ("ISOLA_EGRESS_NAMESERVERS", "dns.example.com"),
        ("ISOLA_LOG_LEVEL", "loud"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_from({**GIVEN, name: value})
