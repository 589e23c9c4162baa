"""A wrong setting is named, with what it should be."""

from __future__ import annotations

import pytest

from isola_operator.settings import settings_from
from isola_process.environment import SettingsError

NEEDED = {"ISOLA_SANDBOX_NAMESPACE": "ns", "ISOLA_SANDBOX_SIDECAR_IMAGE": "sidecar:1"}


def test_what_the_chart_sets_is_enough() -> None:
    settings = settings_from(NEEDED)
    assert (settings.namespace, settings.sidecar_image) == ("ns", "sidecar:1")
    assert settings.runtime_class == "gvisor"
    assert not settings.leader_election


def test_everything_can_be_set() -> None:
    settings = settings_from(
        {
            **NEEDED,
            "ISOLA_IMAGE_PULL_SECRETS": "a, b,",
            "ISOLA_LEADER_ELECTION": "true",
            "ISOLA_METRICS_PORT": "9090",
            "ISOLA_LOG_LEVEL": "WARN",
            "ISOLA_DOOR_PORT": "18000",
        }
    )
    assert settings.image_pull_secrets == ("a", "b")
    assert settings.leader_election
    assert (settings.door_ports[0], settings.door_ports[-1]) == (18000, 18255)
    assert (settings.metrics_port, settings.log_level) == (9090, "warning")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISOLA_SANDBOX_NAMESPACE", " "),
        ("ISOLA_SANDBOX_SIDECAR_IMAGE", ""),
        ("ISOLA_METRICS_PORT", "http"),
        ("ISOLA_HEALTH_PORT", "70000"),
        ("ISOLA_LEADER_ELECTION", "maybe"),
        ("ISOLA_LOG_LEVEL", "loud"),
        ("ISOLA_POD_CIDRS", "10.0.0.0/8,here"),
        ("ISOLA_CLUSTER_DNS_LABELS", "k8s-app"),
        ("ISOLA_DOOR_PORT", "here"),
        ("ISOLA_LABELS", "component"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_from({**NEEDED, name: value})
