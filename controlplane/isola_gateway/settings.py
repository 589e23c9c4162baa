"""What the environment says, checked once, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isola_gateway.admission import Limits
from isola_process.environment import UNRELEASED, flag, level, number, required

# Fewer leave no stream a place.
_FEWEST, _MOST = 4, 1_000_000
_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set.

    Attributes:
        namespace: Where the sandboxes live (`ISOLA_SANDBOX_NAMESPACE`).
        port: Of the HTTP server (`ISOLA_HTTP_PORT`).
        log_level: debug, info, warning or error (`ISOLA_LOG_LEVEL`).
        dev_mode: Whether logs are for a terminal, not JSON (`ISOLA_DEV_MODE`).
        own_namespace: Where the egress component is (`ISOLA_NAMESPACE`).
        egress_service: Its Service (`ISOLA_EGRESS_SERVICE`), or empty where it is not installed.
        ui: Whether there is a page for people at `/ui` (`ISOLA_UI`).
        limits: How much is taken on at once (`ISOLA_MAX_REQUESTS`,
            `ISOLA_MAX_REQUESTS_PER_SANDBOX`).
        version: What `/version` calls this release (`ISOLA_VERSION`, set by the image).
    """

    namespace: str
    port: int = 8080
    log_level: str = "info"
    dev_mode: bool = False
    own_namespace: str = ""
    egress_service: str = ""
    ui: bool = True
    version: str = UNRELEASED
    limits: Limits = _LIMITS


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return the settings that `environment` holds.

    Raises:
        SettingsError: A variable is missing or wrong.
    """
    return Settings(
        namespace=required(environment, "ISOLA_SANDBOX_NAMESPACE"),
        port=number(environment, "ISOLA_HTTP_PORT", 8080),
        log_level=level(environment),
        dev_mode=flag(environment, "ISOLA_DEV_MODE"),
        own_namespace=environment.get("ISOLA_NAMESPACE", ""),
        egress_service=environment.get("ISOLA_EGRESS_SERVICE", ""),
        ui=flag(environment, "ISOLA_UI", default=True),
        limits=Limits(
            requests=_count(environment, "ISOLA_MAX_REQUESTS", _LIMITS.requests),
            sandbox_requests=_count(
                environment, "ISOLA_MAX_REQUESTS_PER_SANDBOX", _LIMITS.sandbox_requests
            ),
        ),
        version=environment.get("ISOLA_VERSION") or UNRELEASED,
    )


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    return number(environment, name, default, least=_FEWEST, most=_MOST)
