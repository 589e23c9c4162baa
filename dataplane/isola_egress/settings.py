"""The component's settings, from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from isola_lifecycle.naming import EGRESS_CONTROL_PORT
from isola_store.ranges import Configured, configured_in

UNRELEASED = "v0.0.0-dev"

# High ones: those that lists may name are listened on too.
METRICS_PORT, HEALTH_PORT = 10040, 10041
DNS_PORT = 53


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which, and what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the component can be told.

    Attributes:
        namespace: Where the sandboxes live.
        own_namespace: Where its Service is.
        service: Name of the Service whose address allowed names have.
        addresses: What to listen on: the pod's own.
        ports: To which servers can be connected.
        dns_port: Where names are asked for.
        most_connections: How many a sandbox may have at once, at this replica.
        idle_seconds: How long nothing may move on a connection.
        discovery: Whether it may read nodes and ServiceCIDRs, to find this cluster's ranges.
        ranges: What is known of these ranges without that.
        nameservers: Whom to ask for addresses; none for those of the pod.
        metrics_port: Port of `/metrics`.
        health_port: Port of `/healthz` and `/readyz`.
        control_port: Where gateways ask.
        log_level: debug, info, warning or error.
        dev_mode: Whether logs are for people rather than JSON.
        kubeconfig: File with credentials, or empty inside a cluster.
        version: This release (`ISOLA_VERSION`, set by the image).
    """

    namespace: str
    own_namespace: str
    service: str
    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    dns_port: int = DNS_PORT
    most_connections: int = 256
    idle_seconds: int = 900
    discovery: bool = False
    ranges: Configured = field(default_factory=Configured)
    nameservers: tuple[str, ...] = ()
    metrics_port: int = METRICS_PORT
    health_port: int = HEALTH_PORT
    control_port: int = EGRESS_CONTROL_PORT
    log_level: str = "info"
    dev_mode: bool = False
    kubeconfig: str = ""
    version: str = UNRELEASED


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return the settings that an environment stands for.

    Raises:
        SettingsError: One is missing or malformed.
    """
    ports = _required(environment, "ISOLA_EGRESS_PORTS")
    return Settings(
        namespace=_required(environment, "ISOLA_SANDBOX_NAMESPACE"),
        own_namespace=_required(environment, "ISOLA_NAMESPACE"),
        service=_required(environment, "ISOLA_EGRESS_SERVICE"),
        addresses=_addresses("ISOLA_POD_IPS", _required(environment, "ISOLA_POD_IPS")),
        ports=tuple(_number("ISOLA_EGRESS_PORTS", text, 65535) for text in ports.split(",")),
        dns_port=_given(environment, "ISOLA_EGRESS_DNS_PORT", DNS_PORT, 65535),
        most_connections=_given(environment, "ISOLA_EGRESS_CONNECTIONS", 256, 10_000),
        idle_seconds=_given(environment, "ISOLA_EGRESS_IDLE_SECONDS", 900, 86400),
        discovery=environment.get("ISOLA_RANGE_DISCOVERY", "false").lower() == "true",
        ranges=_ranges(environment),
        nameservers=_addresses(
            "ISOLA_EGRESS_NAMESERVERS", environment.get("ISOLA_EGRESS_NAMESERVERS", "")
        ),
        metrics_port=_given(environment, "ISOLA_METRICS_PORT", METRICS_PORT, 65535),
        health_port=_given(environment, "ISOLA_HEALTH_PORT", HEALTH_PORT, 65535),
        control_port=_given(environment, "ISOLA_EGRESS_CONTROL_PORT", EGRESS_CONTROL_PORT, 65535),
        log_level=_level(environment),
        dev_mode=environment.get("ISOLA_DEV_MODE", "false").lower() == "true",
        kubeconfig=environment.get("ISOLA_KUBECONFIG", ""),
        version=environment.get("ISOLA_VERSION") or UNRELEASED,
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set; the chart sets it, see chart/README.md")
    return value


def _ranges(environment: Mapping[str, str]) -> Configured:
    try:
        return configured_in(environment)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _addresses(name: str, value: str) -> tuple[str, ...]:
    try:
        return tuple(str(ip_address(text.strip())) for text in value.split(",") if text.strip())
    except ValueError as error:
        raise SettingsError(f"{name} is {value!r}; it must hold addresses") from error


def _given(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    return _number(name, environment.get(name, str(default)), most)


def _number(name: str, text: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise SettingsError(f"{name} holds {text!r}; it must be a number from 1 to {most}")
    return int(text)


def _level(environment: Mapping[str, str]) -> str:
    value = environment.get("ISOLA_LOG_LEVEL", "info").lower()
    value = {"warn": "warning"}.get(value, value)
    if value not in {"debug", "info", "warning", "error"}:
        raise SettingsError(f"ISOLA_LOG_LEVEL is {value!r}; it must be debug, info, warn or error")
    return value
