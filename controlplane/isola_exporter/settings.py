"""The exporter's settings, from its environment. Where to export is OpenTelemetry's own to say.

`OTEL_EXPORTER_OTLP_*`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, `OTEL_METRIC_EXPORT_*` and
`OTEL_{TRACES,LOGS,METRICS}_EXPORTER` (`otlp` or `none`) mean what the OpenTelemetry specification
says; the first ones are read by its SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from isola_process.environment import UNRELEASED, SettingsError, flag, level, number, required

SIGNALS = ("traces", "logs", "metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the exporter can be told.

    Attributes:
        namespace: Where the sandboxes live.
        window: How far back it reads after a start.
        signals: Which of `SIGNALS` are exported by OTLP.
        metrics_port: Port of `/metrics`.
        health_port: Port of `/healthz` and `/readyz`.
        log_level: debug, info, warning or error.
        dev_mode: Whether logs are for people rather than JSON.
        kubeconfig: File with credentials, or empty inside a cluster.
        version: This release (`ISOLA_VERSION`, set by the image).
    """

    namespace: str
    window: timedelta = timedelta(hours=24)
    signals: frozenset[str] = frozenset(SIGNALS)
    metrics_port: int = 8080
    health_port: int = 8081
    log_level: str = "info"
    dev_mode: bool = False
    kubeconfig: str = ""
    version: str = UNRELEASED


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return the settings that an environment stands for.

    Raises:
        SettingsError: One is missing or malformed.
    """
    window = number(environment, "ISOLA_EXPORTER_WINDOW_SECONDS", 86400, least=0, most=30 * 86400)
    return Settings(
        namespace=required(environment, "ISOLA_SANDBOX_NAMESPACE"),
        window=timedelta(seconds=window),
        signals=frozenset(signal for signal in SIGNALS if _exported(environment, signal)),
        metrics_port=number(environment, "ISOLA_METRICS_PORT", 8080),
        health_port=number(environment, "ISOLA_HEALTH_PORT", 8081),
        log_level=level(environment),
        dev_mode=flag(environment, "ISOLA_DEV_MODE"),
        kubeconfig=environment.get("ISOLA_KUBECONFIG", ""),
        version=environment.get("ISOLA_VERSION") or UNRELEASED,
    )


def _exported(environment: Mapping[str, str], signal: str) -> bool:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    value = environment.get(name) or "otlp"
    if value not in {"otlp", "none"}:
        raise SettingsError(f"{name} is {value!r}; it must be otlp or none")
    return value == "otlp"
