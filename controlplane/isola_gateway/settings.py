"""What the environment says, checked once, before anything starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from isola_gateway.admission import Limits

# What a checkout calls itself.
UNRELEASED = "v0.0.0-dev"

_TRUE = {"1", "t", "true"}
_FALSE = {"", "0", "f", "false"}
# Fewer leave no stream a place.
_FEWEST, _MOST = 4, 1_000_000
_LIMITS = Limits()
_PORTS = range(1, 65536)


class SettingsError(Exception):
    """The environment does not say what it has to say. The message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set.

    Attributes:
        namespace: Where the sandboxes live (`ISOLA_SANDBOX_NAMESPACE`).
        port: Of the HTTP server (`ISOLA_HTTP_PORT`).
        log_level: The least level that is logged, as in `logging` (`ISOLA_LOG_LEVEL`).
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
    log_level: int = logging.INFO
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
    namespace = environment.get("ISOLA_SANDBOX_NAMESPACE", "")
    if not namespace:
        raise SettingsError("ISOLA_SANDBOX_NAMESPACE must name the namespace of the sandboxes")
    return Settings(
        namespace=namespace,
        port=_port(environment.get("ISOLA_HTTP_PORT", "8080")),
        log_level=_level(environment.get("ISOLA_LOG_LEVEL", "info")),
        dev_mode=_truth("ISOLA_DEV_MODE", environment.get("ISOLA_DEV_MODE", "false")),
        own_namespace=environment.get("ISOLA_NAMESPACE", ""),
        egress_service=environment.get("ISOLA_EGRESS_SERVICE", ""),
        ui=_truth("ISOLA_UI", environment.get("ISOLA_UI", "true")),
        limits=Limits(
            requests=_count(environment, "ISOLA_MAX_REQUESTS", _LIMITS.requests),
            sandbox_requests=_count(
                environment, "ISOLA_MAX_REQUESTS_PER_SANDBOX", _LIMITS.sandbox_requests
            ),
        ),
        version=environment.get("ISOLA_VERSION") or UNRELEASED,
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) not in _PORTS:
        raise SettingsError(f"ISOLA_HTTP_PORT must be a port from 1 to 65535, not {text!r}")
    return int(text)


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not _FEWEST <= int(text) <= _MOST:
        raise SettingsError(f"{name} must be a number from {_FEWEST} to {_MOST}, not {text!r}")
    return int(text)


def _level(text: str) -> int:
    levels = logging.getLevelNamesMapping()
    if text.upper() not in levels:
        raise SettingsError(f"ISOLA_LOG_LEVEL must be debug, info, warning or error, not {text!r}")
    return levels[text.upper()]


def _truth(variable: str, text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise SettingsError(f"{variable} must be true or false, not {text!r}")
    return word in _TRUE
