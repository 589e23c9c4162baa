"""The operator's settings, from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isola_operator import canary
from isola_operator.manifests.job import JobSettings
from isola_operator.manifests.network import ClusterDns, Egress
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

# Some 300 years.
_MOST_SECONDS = 9_999_999_999

# The further apart two changes of a sandbox are that share a door, the surer is which one is seen.
DOORS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator can be told.

    Attributes:
        namespace: Where the sandboxes live.
        own_namespace: Where the operator's Lease lives.
        identity: Its name among its replicas.
        sidecar_image: Image of the injected sidecar.
        sidecar_pull_policy: Its pull policy, or empty for the cluster's default.
        runtime_class: RuntimeClass of sandbox pods.
        priority_class: PriorityClass of sandbox pods, or empty.
        image_pull_secrets: Names of secrets for sandbox images.
        node_loss_seconds: How long a sandbox stays bound to a node that does not answer.
        record_ttl_seconds: How long the history of a sandbox is kept after its end; 0 for ever.
        discovery: Whether it may read nodes and ServiceCIDRs, to find this cluster's ranges.
        ranges: What is known of these ranges without that.
        cluster_dns: Where the cluster's name servers are.
        own_addresses: Of this pod, IPv4 or IPv6 or both; none where it is in no cluster.
        egress_service: Service of the egress component, or empty where it is not installed.
        egress: Where its pods are, and to which ports they lead.
        admission_policies: Whether the API server holds everybody to the chart's policies, by which
            nobody but the gateway may say who asked for a sandbox.
        gate_seconds: How long a pod's gate looks for enforcement of its policies; 0 for no gate.
        canary_port: Where this operator listens for what must not reach it.
        canary_service: Name of the Service before that, or empty.
        door_ports: Where this operator listens for those who see a change in force.
        own_labels: By which policies know this operator and its replicas.
        api_canaries: Where pods find the API server.
        canaries: Where this installation's own canaries are; found at the start.
        metrics_port: Port of `/metrics`.
        health_port: Port of `/healthz` and `/readyz`.
        leader_election: Whether to take turns with other replicas.
        log_level: debug, info, warning or error.
        dev_mode: Whether logs are for people rather than JSON.
        kubeconfig: File with credentials, or empty inside a cluster.
        snapshots: What the Jobs of snapshots get.
        staging_root: Folder on the nodes below which the mounter stages archives, or empty.
        version: This release (`ISOLA_VERSION`, set by the image).
    """

    namespace: str
    own_namespace: str = "isola-system"
    identity: str = "operator"
    sidecar_image: str
    sidecar_pull_policy: str = ""
    runtime_class: str = "gvisor"
    priority_class: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    node_loss_seconds: int = 60
    record_ttl_seconds: int = 7 * 24 * 60 * 60
    discovery: bool = False
    ranges: Configured = field(default_factory=Configured)
    cluster_dns: ClusterDns = field(default_factory=ClusterDns)
    own_addresses: tuple[str, ...] = ()
    egress_service: str = ""
    egress: Egress = field(default_factory=Egress)
    admission_policies: bool = False
    gate_seconds: int = 0
    canary_port: int = 8089
    canary_service: str = ""
    door_ports: tuple[int, ...] = ()
    own_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    api_canaries: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    metrics_port: int = 8080
    health_port: int = 8081
    leader_election: bool = False
    log_level: str = "info"
    dev_mode: bool = False
    kubeconfig: str = ""
    snapshots: JobSettings = field(default_factory=JobSettings)
    staging_root: str = ""
    version: str = UNRELEASED


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return the settings that an environment stands for.

    Raises:
        SettingsError: One is missing or malformed.
    """
    secrets = environment.get("ISOLA_IMAGE_PULL_SECRETS", "")
    return Settings(
        namespace=required(environment, "ISOLA_SANDBOX_NAMESPACE"),
        own_namespace=environment.get("ISOLA_NAMESPACE", "isola-system"),
        identity=environment.get("ISOLA_POD_NAME", "operator"),
        sidecar_image=required(environment, "ISOLA_SANDBOX_SIDECAR_IMAGE"),
        sidecar_pull_policy=environment.get("ISOLA_SANDBOX_SIDECAR_IMAGE_PULL_POLICY", ""),
        runtime_class=environment.get("ISOLA_RUNTIME_CLASS", "gvisor"),
        priority_class=environment.get("ISOLA_PRIORITY_CLASS", ""),
        image_pull_secrets=_names(secrets),
        node_loss_seconds=_seconds(environment, "ISOLA_NODE_LOSS_SECONDS", 60),
        record_ttl_seconds=_seconds(environment, "ISOLA_RECORD_TTL_SECONDS", 7 * 24 * 60 * 60),
        discovery=flag(environment, "ISOLA_RANGE_DISCOVERY"),
        ranges=_configured_ranges(environment),
        cluster_dns=_cluster_dns(environment),
        own_addresses=_names(environment.get("ISOLA_POD_IPS", "")),
        egress_service=environment.get("ISOLA_EGRESS_SERVICE", ""),
        egress=_egress(environment),
        admission_policies=flag(environment, "ISOLA_ADMISSION_POLICIES"),
        gate_seconds=_seconds(environment, "ISOLA_GATE_SECONDS", 0),
        canary_port=number(environment, "ISOLA_CANARY_PORT", 8089, least=0),
        canary_service=environment.get("ISOLA_CANARY_SERVICE", ""),
        door_ports=_door_ports(environment),
        own_labels=_labels(environment, "ISOLA_LABELS", "app.kubernetes.io/component=operator"),
        api_canaries=canary.api_server(environment),
        metrics_port=number(environment, "ISOLA_METRICS_PORT", 8080),
        health_port=number(environment, "ISOLA_HEALTH_PORT", 8081),
        leader_election=flag(environment, "ISOLA_LEADER_ELECTION"),
        log_level=level(environment),
        dev_mode=flag(environment, "ISOLA_DEV_MODE"),
        kubeconfig=environment.get("ISOLA_KUBECONFIG", ""),
        snapshots=_snapshots(environment),
        staging_root=_staging_root(environment),
        version=environment.get("ISOLA_VERSION") or UNRELEASED,
    )


def _configured_ranges(environment: Mapping[str, str]) -> Configured:
    try:
        return configured_in(environment)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _cluster_dns(environment: Mapping[str, str]) -> ClusterDns:
    namespace = environment.get("ISOLA_CLUSTER_DNS_NAMESPACE", "") or ClusterDns().namespace
    labels = _labels(environment, "ISOLA_CLUSTER_DNS_LABELS", "k8s-app=kube-dns")
    return ClusterDns(namespace=namespace, labels=labels or ClusterDns().labels)


def _egress(environment: Mapping[str, str]) -> Egress:
    if not environment.get("ISOLA_EGRESS_SERVICE"):
        return Egress()
    ports = [text for text in environment.get("ISOLA_EGRESS_PORTS", "").split(",") if text]
    return Egress(
        namespace=environment.get("ISOLA_NAMESPACE", "isola-system"),
        labels=_labels(environment, "ISOLA_EGRESS_LABELS", "app.kubernetes.io/component=egress"),
        ports=tuple(whole("ISOLA_EGRESS_PORTS", text) for text in ports),
    )


def _labels(environment: Mapping[str, str], name: str, example: str) -> Mapping[str, str]:
    pairs = [pair.strip().partition("=") for pair in environment.get(name, "").split(",")]
    labels = {key: value for key, sign, value in pairs if key and sign}
    if len(labels) != len([pair for pair in pairs if pair != ("", "", "")]):
        raise SettingsError(f"{name} must hold labels such as {example}")
    return labels


def _snapshots(environment: Mapping[str, str]) -> JobSettings:
    if not flag(environment, "ISOLA_ROOTFSSNAPSHOT_ENABLED"):
        return JobSettings()
    secrets = environment.get("ISOLA_IMAGE_PULL_SECRETS", "")
    defaults = JobSettings()
    return JobSettings(
        namespace=required(environment, "ISOLA_NODE_NAMESPACE"),
        sandbox_namespace=required(environment, "ISOLA_SANDBOX_NAMESPACE"),
        image=required(environment, "ISOLA_SNAPSHOT_UPLOADER_IMAGE"),
        pull_policy=environment.get("ISOLA_SNAPSHOT_UPLOADER_IMAGE_PULL_POLICY", ""),
        image_pull_secrets=_names(secrets),
        service_account=environment.get("ISOLA_ROOTFSSNAPSHOT_SERVICE_ACCOUNT", "default"),
        bucket_url=required(environment, "ISOLA_ROOTFSSNAPSHOT_BUCKET_URL"),
        credentials_secret=environment.get("ISOLA_ROOTFSSNAPSHOT_CREDENTIAL_SECRET", ""),
        runsc=environment.get("ISOLA_GVISOR_RUNSC_PATH") or defaults.runsc,
        runsc_root=environment.get("ISOLA_GVISOR_RUNSC_ROOT") or defaults.runsc_root,
        archive_limit=environment.get("ISOLA_ROOTFSSNAPSHOT_ARCHIVE_LIMIT")
        or defaults.archive_limit,
        log_level=level(environment),
        priority_class=environment.get("ISOLA_SNAPSHOT_PRIORITY_CLASS", ""),
    )


def _staging_root(environment: Mapping[str, str]) -> str:
    if not flag(environment, "ISOLA_ROOTFSSNAPSHOT_ENABLED"):
        return ""
    root = required(environment, "ISOLA_ROOTFSSNAPSHOT_STAGING_ROOT")
    if not root.startswith("/"):
        raise SettingsError(
            f"ISOLA_ROOTFSSNAPSHOT_STAGING_ROOT is {root!r}; it must be a path on the nodes, from /"
        )
    return root


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def _door_ports(environment: Mapping[str, str]) -> tuple[int, ...]:
    first = number(environment, "ISOLA_DOOR_PORT", 0, least=0)
    return tuple(range(first, first + DOORS)) if first else ()


def _seconds(environment: Mapping[str, str], name: str, default: int) -> int:
    return number(environment, name, default, least=0, most=_MOST_SECONDS)
