"""What the exporter can be told, and what people are told of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from isola_exporter.metrics import METRICS
from isola_exporter.settings import Settings, settings_from
from isola_process.environment import SettingsError
from support.toolchain import ROOT

NEEDED = {"ISOLA_SANDBOX_NAMESPACE": "sandboxes"}


def test_the_namespace_is_enough() -> None:
    assert settings_from(NEEDED) == Settings(namespace="sandboxes")


def test_everything_can_be_told() -> None:
    told = {
        "ISOLA_EXPORTER_WINDOW_SECONDS": "60",
        "ISOLA_METRICS_PORT": "1",
        "ISOLA_HEALTH_PORT": "2",
        "ISOLA_LOG_LEVEL": "WARN",
        "ISOLA_DEV_MODE": "true",
        "ISOLA_KUBECONFIG": "/k",
        "ISOLA_VERSION": "v1",
        "OTEL_LOGS_EXPORTER": "none",
    }
    assert settings_from({**NEEDED, **told}) == Settings(
        namespace="sandboxes",
        window=timedelta(minutes=1),
        signals=frozenset({"traces", "metrics"}),
        metrics_port=1,
        health_port=2,
        log_level="warning",
        dev_mode=True,
        kubeconfig="/k",
        version="v1",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISOLA_SANDBOX_NAMESPACE", " "),
        ("ISOLA_EXPORTER_WINDOW_SECONDS", "1h"),
        ("ISOLA_METRICS_PORT", "65536"),
        ("ISOLA_LOG_LEVEL", "loud"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ],
)
def test_a_slip_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_from({**NEEDED, name: value})


def test_the_page_prints_the_metrics() -> None:
    page = (ROOT / "controlplane" / "exporter.md").read_text().splitlines()
    assert [line for line in page if line.startswith("| `isola_")] == [
        f"| `{m.prometheus}` | `{m.name}` | {m.kind} | {', '.join(m.labels) or '-'} |"
        f" {m.description} |"
        for m in METRICS
    ]
