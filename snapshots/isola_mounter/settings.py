"""The mounter's settings, from its environment: what the chart puts into its DaemonSet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isola_process.environment import SettingsError, level, number, required
from isola_rest.quantities import QuantityError, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the mounter can be told.

    Attributes:
        namespace: Where the sandboxes live.
        node: Name of this node.
        bucket_url: `s3://…`, `gs://…` or `azblob://…`.
        folder: Where the folder of this node is mounted in which archives are kept and staged.
        cache_bytes: What the archives kept there may take in all.
        silence_seconds: How long the bucket may send nothing before a request is made again.
        metrics_port: Port of `/metrics`.
        health_port: Port of `/healthz` and `/readyz`.
        log_level: debug, info, warning or error.
        kubeconfig: File with credentials, or empty inside a cluster.
    """

    namespace: str
    node: str
    bucket_url: str
    folder: Path
    cache_bytes: int
    silence_seconds: float = 10
    metrics_port: int = 8080
    health_port: int = 8081
    log_level: str = "info"
    kubeconfig: str = ""


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return the settings that an environment stands for.

    Raises:
        SettingsError: One is missing or malformed.
    """
    return Settings(
        namespace=required(environment, "ISOLA_SANDBOX_NAMESPACE"),
        node=required(environment, "ISOLA_NODE_NAME"),
        bucket_url=required(environment, "ISOLA_BUCKET_URL"),
        folder=Path(required(environment, "ISOLA_MOUNTER_FOLDER")),
        cache_bytes=_bytes(environment, "ISOLA_MOUNTER_CACHE_LIMIT"),
        silence_seconds=number(environment, "ISOLA_BUCKET_SILENCE_SECONDS", 10),
        metrics_port=number(environment, "ISOLA_METRICS_PORT", 8080),
        health_port=number(environment, "ISOLA_HEALTH_PORT", 8081),
        log_level=level(environment),
        kubeconfig=environment.get("ISOLA_KUBECONFIG", ""),
    )


def _bytes(environment: Mapping[str, str], name: str) -> int:
    text = required(environment, name)
    try:
        amount = int(parse(text).amount)
    except QuantityError as error:
        raise SettingsError(f"{name} is {text!r}; it must be a size such as 10Gi") from error
    if amount < 1:
        raise SettingsError(f"{name} is {text!r}; it must be more than nothing, such as 10Gi")
    return amount
