"""The component's settings, from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from isola_lifecycle.naming import EGRESS_CONTROL_PORT
from isola_process.environment import (
    UNRELEASED,
    SettingsError,
    flag,
    level,
    number,
    required,
    whole,
)
from isola_store.ranges import Configured, configured_in

# High ones: those that lists may name are listened on too.
METRICS_PORT, HEALTH_PORT = 10040, 10041
DNS_PORT = 53


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
    ports = required(environment, "ISOLA_EGRESS_PORTS")
    return Settings(
        namespace=required(environment, "ISOLA_SANDBOX_NAMESPACE"),
        own_namespace=required(environment, "ISOLA_NAMESPACE"),
        service=required(environment, "ISOLA_EGRESS_SERVICE"),
        addresses=_addresses("ISOLA_POD_IPS", required(environment, "ISOLA_POD_IPS")),
        ports=tuple(whole("ISOLA_EGRESS_PORTS", text) for text in ports.split(",")),
        dns_port=number(environment, "ISOLA_EGRESS_DNS_PORT", DNS_PORT),
        most_connections=number(environment, "ISOLA_EGRESS_CONNECTIONS", 256, most=10_000),
        idle_seconds=number(environment, "ISOLA_EGRESS_IDLE_SECONDS", 900, most=86400),
        discovery=flag(environment, "ISOLA_RANGE_DISCOVERY"),
        ranges=_ranges(environment),
        nameservers=_addresses(
            "ISOLA_EGRESS_NAMESERVERS", environment.get("ISOLA_EGRESS_NAMESERVERS", "")
        ),
        metrics_port=number(environment, "ISOLA_METRICS_PORT", METRICS_PORT),
        health_port=number(environment, "ISOLA_HEALTH_PORT", HEALTH_PORT),
        control_port=number(environment, "ISOLA_EGRESS_CONTROL_PORT", EGRESS_CONTROL_PORT),
        log_level=level(environment),
        dev_mode=flag(environment, "ISOLA_DEV_MODE"),
        kubeconfig=environment.get("ISOLA_KUBECONFIG", ""),
        version=environment.get("ISOLA_VERSION") or UNRELEASED,
    )


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
