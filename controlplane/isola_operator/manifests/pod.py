"""The pod of a sandbox, built from its template. Pure.

The template is the user's and may hold anything: the CRD does not look into it. `faults` says what
makes it one that must not or cannot run; `build` may assume that there are none. What decides
about isolation is set here last, so that no template can override it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.sandbox.network import Network
from isola_lifecycle.sandbox.sources import sources_of
from isola_operator.credentials import Credentials
from isola_operator.manifests.network import NOT_INSTALLED, Egress, dns_of, rate_annotations
from isola_operator.manifests.ownership import OWN_LABELS, RESERVED, owner_of
from isola_operator.manifests.restores import MARK, gated, paths
from isola_store.port import Sandbox

Json = Mapping[str, Any]

DEFAULT_COMMAND = ("sleep", "infinity")

# gVisor runs the whole pod in one sentry, in the pod's cgroup, which Kubernetes limits only where
# every container has a limit: the sidecar needs one too, and so small that it adds nothing to what
# the user asked for. It has none for ephemeral storage, where declared limits are summed.
SIDECAR_RESOURCES = {"cpu": "1m", "memory": "1Mi"}

# Whatever the template says of whom its own containers run as: the image says root.
NOBODY = {
    "runAsUser": 65534,
    "runAsGroup": 65534,
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}

NODE_TAINTS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")

# Policy engines know a pod's packets by their source address, which raw sockets forge. gVisor gives
# none by default; where a node's configuration says otherwise, it does so by this capability.
FORGERY = "NET_RAW"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What the installation decides about every sandbox pod.

    Attributes:
        runtime_class: RuntimeClass, whose handler is gVisor.
        sidecar_image: Image of the sidecar.
        sidecar_pull_policy: Its pull policy, or empty.
        priority_class: PriorityClass, or empty.
        image_pull_secrets: Added to the template's.
        node_loss_seconds: How long a pod stays bound to a node that does not answer.
        gate_seconds: How long the gate looks for enforcement of the policies; 0 for no gate.
        canaries: What no sandbox may reach, as address and port.
        api_canaries: Likewise, but for sandboxes that may reach public addresses.
        staging_root: The folder on every node below which archives are staged, or empty where no
            sandbox starts from a snapshot.
        version: Release of the operator, and so of the sidecar that it injects.
    """

    runtime_class: str
    sidecar_image: str
    sidecar_pull_policy: str = ""
    priority_class: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    node_loss_seconds: int = 60
    gate_seconds: int = 0
    canaries: tuple[str, ...] = ()
    api_canaries: tuple[str, ...] = ()
    staging_root: str = ""
    version: str = ""


def build(
    sandbox: Sandbox,
    network: Network,
    settings: PodSettings,
    credentials: Credentials,
    by_name: Egress = NOT_INSTALLED,
) -> dict[str, Any]:
    """Return the manifest of the pod of a sandbox whose spec and network have no faults.

    Args:
        sandbox: Whose pod it is.
        network: What it may reach.
        settings: What the installation decides.
        credentials: Of this pod's sidecar.
        by_name: Where the egress component is.
    """
    template: Json = sandbox.spec.get("podTemplate") or {}
    metadata: Json = template.get("metadata") or {}
    sources = sources_of(sandbox.spec)
    spec = {
        **_spec(template.get("spec") or {}, network, settings, credentials, archives=bool(sources)),
        **dns_of(network, _dns_config(template), by_name),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": naming.pod_name(sandbox.name),
            "labels": {
                **_foreign(metadata.get("labels")),
                **labels(sandbox.name),
            },
            "annotations": {
                **_foreign(metadata.get("annotations")),
                # The root file system's overlay lives in the container's own storage, so that what
                # is written there counts as ephemeral storage.
                "dev.gvisor.flag.overlay2": "root:self",
                "isola.run/sidecar-version": settings.version,
                **rate_annotations(network),
                **paths(settings.staging_root, sandbox.uid, sources),
            },
            "ownerReferences": [owner_of(sandbox, blocks=True)],
        },
        "spec": gated(spec, settings.staging_root, sandbox.uid) if sources else spec,
    }


def _dns_config(template: Json) -> Json:
    spec: Json = template.get("spec") or {}
    return spec.get("dnsConfig") or {}


def labels(name: str) -> dict[str, str]:
    """Return the labels by which policies, people and the operator find a sandbox's pod."""
    return {
        **OWN_LABELS,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "sandbox",
        "isola.run/sandbox": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    }


def _foreign(pairs: Mapping[str, str] | None) -> dict[str, str]:
    # Refused in new templates; those accepted before they were lose them.
    return {k: v for k, v in (pairs or {}).items() if not RESERVED.match(k)}


def _spec(
    template: Json,
    network: Network,
    settings: PodSettings,
    credentials: Credentials,
    *,
    archives: bool,
) -> dict[str, Any]:
    secrets = [{"name": name} for name in settings.image_pull_secrets]
    spec: dict[str, Any] = {
        **template,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,
        "runtimeClassName": settings.runtime_class,
        "imagePullSecrets": [*(template.get("imagePullSecrets") or []), *secrets],
        "tolerations": _tolerations(template.get("tolerations") or [], settings),
        "containers": [_container(c) for c in template["containers"]],
        # The gate comes before everything of the user's, and after the sidecar: the kubelet tells
        # the pod's address, which network plugins wait for, once the first container was started.
        "initContainers": [
            _sidecar(network, settings, credentials),
            *_gates(settings, archives=archives),
            *map(_confined, template.get("initContainers") or []),
        ],
    }
    if settings.priority_class:
        spec["priorityClassName"] = settings.priority_class
    return spec


def _tolerations(given: list[Json], settings: PodSettings) -> list[Json]:
    # As the admission plug-in DefaultTolerationSeconds does, which has 300 s for everybody.
    told = {toleration.get("key") for toleration in given}
    if None in told or "" in told:
        return given  # tolerates everything, for ever
    ours = [
        {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": settings.node_loss_seconds,
        }
        for key in NODE_TAINTS
        if key not in told
    ]
    return [*given, *ours]


def _container(template: Json) -> dict[str, Any]:
    name = naming.CONTAINER_NAME_VARIABLE
    given: list[Json] = template.get("env") or []
    env = [variable for variable in given if variable.get("name") != name]
    return {
        **_confined(template),
        "command": template.get("command") or list(DEFAULT_COMMAND),
        "env": [*env, {"name": name, "value": template["name"]}],
    }


def _confined(template: Json) -> dict[str, Any]:
    context: Json = template.get("securityContext") or {}
    capabilities: Json = context.get("capabilities") or {}
    dropped = list(dict.fromkeys([*(capabilities.get("drop") or []), FORGERY]))
    confined = {**context, "capabilities": {**capabilities, "drop": dropped}}
    return {**template, "securityContext": confined}


def _sidecar(network: Network, settings: PodSettings, credentials: Credentials) -> Json:
    return {
        **_ours(naming.SIDECAR_CONTAINER, settings),
        "env": [
            {"name": naming.CERTIFICATE_VARIABLE, "value": credentials.certificate},
            *_asked(network, settings),
        ],
        # The key. A process's working directory shows to nobody who may not trace it, unlike its
        # arguments. The environment shows under gVisor: /proc/gvisor/spec_environ has that of the
        # container to every process started in it, and so the sidecar's to every command.
        "workingDir": f"/{credentials.key}",
        "restartPolicy": "Always",
        # What it says of a gate that must not open.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            # To read /proc/<pid>/root, cwd and environ of the user's containers under gVisor; and
            # to take the pod's link-local IPv6 address away before they start (`linklocal`).
            "capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN"], "drop": [FORGERY]},
        },
    }


def _asked(network: Network, settings: PodSettings) -> Iterator[Json]:
    if not settings.gate_seconds:
        return
    public = network.internet or network.cidrs
    canaries = [*settings.canaries, *(() if public else settings.api_canaries)]
    yield {"name": "ISOLA_GATE_PORT", "value": str(naming.GATE_PORT)}
    yield {"name": "ISOLA_GATE_SECONDS", "value": str(settings.gate_seconds)}
    yield {"name": "ISOLA_GATE_CANARIES", "value": " ".join(canaries)}


def _gates(settings: PodSettings, *, archives: bool) -> Iterator[Json]:
    confined = {"securityContext": NOBODY}
    # It asks by a hook instead of ending once it knows: a kubelet waits for a hook, but looks for
    # what has ended once a second.
    if settings.gate_seconds:
        yield {
            **_ours(naming.GATE_CONTAINER, settings),
            **confined,
            "command": ["sleep", "infinity"],
            "env": [{"name": naming.GATE_VARIABLE, "value": "yes"}],
            "lifecycle": {"postStart": {"httpGet": {"port": naming.GATE_PORT}}},
            "restartPolicy": "Always",
        }
    # Not by a hook: a pod with one under way cannot be ended, and an archive may take minutes.
    if archives:
        yield {
            **_ours(naming.STAGED_CONTAINER, settings),
            **confined,
            "command": ["python3", "-IBu", "-m", "isola_sidecar.staged", MARK],
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }


def _ours(name: str, settings: PodSettings) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": name,
        "image": settings.sidecar_image,
        "resources": {"requests": SIDECAR_RESOURCES, "limits": SIDECAR_RESOURCES},
    }
    if settings.sidecar_pull_policy:
        container["imagePullPolicy"] = settings.sidecar_pull_policy
    return container
