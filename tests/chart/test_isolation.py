"""What would widen a sandbox's isolation is refused by the API server, whoever writes it.

The operator refuses the same of templates once an object exists, for where the policies are off:
the tables here hold the two together, in the same words.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chart.people import Somebody, administrator
from chart.rendering import Chart
from isola_lifecycle.sandbox.network import NOTHING
from isola_lifecycle.sandbox.ranges import blocked
from isola_operator.credentials import fresh
from isola_operator.manifests.faults import faults
from isola_operator.manifests.pod import PodSettings, build
from isola_store.port import Sandbox
from support.cluster import until
from support.kubernetes_server import ApiServer
from support.store import unique

pytestmark = pytest.mark.apiserver

RELEASE_NAMESPACE, SANDBOX_NAMESPACE = "isolating", "isolated"
RELEASE = ("isola", "--namespace", RELEASE_NAMESPACE)
VALUES: dict[str, Any] = {
    "sandboxNamespace": {"name": SANDBOX_NAMESPACE},
    "crds": {"enabled": False},
    "operator": {"network": {"blockedCIDRs": ["5.5.5.0/24"]}},
}
DEFAULT_DENY = "isola-sandbox-default-deny"
CONTAINER = {"name": "sandbox0", "image": "python"}

Json = dict[str, Any]


# A role as a namespace's administrator has it.
ANYTHING: Json = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "anything"},
    "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
}


@pytest.fixture(scope="module")
def api_server(each_api_server: ApiServer) -> ApiServer:
    return each_api_server


@dataclass(frozen=True)
class Scene:
    """Everybody around. All may do everything to pods and policies, as far as roles go."""

    server: ApiServer
    admin: Somebody
    alice: Somebody
    installer: Somebody
    operator: Somebody
    gateway: Somebody
    chart: Chart


@pytest.fixture(scope="module")
def scene(chart: Chart, api_server: ApiServer) -> Iterator[Scene]:
    """The chart, installed with its policies."""
    live = replace(chart, kubeconfig=str(api_server.kubeconfig))
    kubectl = ("create", "namespace", SANDBOX_NAMESPACE)
    assert api_server.run_kubectl(*kubectl).returncode == 0
    live.run("install", *RELEASE, ".", "--create-namespace", values=VALUES)
    admin = administrator(api_server, SANDBOX_NAMESPACE)
    account = f"system:serviceaccount:{RELEASE_NAMESPACE}:isola-"
    operator, gateway = f"{account}operator", f"{account}api-gateway"
    assert admin.create(ANYTHING) == ""
    for words in (
        # The operator is to try what no role of its own lets it.
        *(
            ("rolebinding", who, "--role=anything", f"--user={user}")
            for who, user in (("a", "alice"), ("b", "installer"), ("c", operator))
        ),
        (
            *("clusterrole", "isolation-installer", "--verb=*"),
            "--resource=validatingadmissionpolicybindings.admissionregistration.k8s.io",
        ),
        (
            *("clusterrolebinding", "isolation-installer", "--clusterrole=isolation-installer"),
            "--user=installer",
        ),
    ):
        done = api_server.run_kubectl("create", f"--namespace={SANDBOX_NAMESPACE}", *words)
        assert done.returncode == 0, done.stderr
    scene = Scene(
        server=api_server,
        admin=admin,
        alice=admin.speaking_for("alice"),
        installer=admin.speaking_for("installer"),
        operator=admin.speaking_for(operator),
        gateway=admin.speaking_for(gateway),
        chart=live,
    )
    # The API server takes up policies a moment after they are there.
    for what, body in REFUSED.items():
        until(lambda body=body: refused(scene.alice, body), seconds=60, what=what)
    yield scene
    admin.client.close()
    live.run("uninstall", *RELEASE)
    for kind in ("clusterrole", "clusterrolebinding"):
        api_server.run_kubectl("delete", kind, "isolation-installer")
    api_server.run_kubectl("delete", "namespace", SANDBOX_NAMESPACE, "--wait=false")


def refused(somebody: Somebody, body: Json) -> bool:
    """Say whether a policy refuses that somebody creates this."""
    return "denied request: " in somebody.attempt(body)


def sandbox(template: object, **spec: object) -> Json:
    return {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": unique("isolated")},
        "spec": {"podTemplate": template, **spec},
    }


def template(pod: Json | None = None, **metadata: object) -> Json:
    return {"metadata": metadata, "spec": {"containers": [CONTAINER], **(pod or {})}}


def container(**fields: object) -> Json:
    return template({"containers": [{**CONTAINER, **fields}]})


def pod(**metadata: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": unique("pod"), **metadata},
        "spec": {"containers": [CONTAINER]},
    }


OPENING: Json = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "opening"},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
}
# For each policy an object that it alone refuses.
REFUSED = {
    "templates": sandbox(template({"hostNetwork": True})),
    "networks": sandbox(template(), network={"nameservers": ["169.254.169.254"]}),
    "pods": pod(labels={"isola.run/sandbox": "true"}),
    "networkpolicies": OPENING,
}

HOOK = {"httpGet": {"port": 80, "host": "169.254.169.254"}}
BAD: dict[str, Json] = {
    "nothing": {},
    "no containers": template({"containers": []}),
    "a pod that is a list": {"spec": [1]},
    "more than a policy looks at": template(
        {
            "containers": [{"name": f"c{i}", "image": "python"} for i in range(65)],
            "initContainers": [{"name": f"i{i}", "image": "python"} for i in range(65)],
            "volumes": [{"name": f"v{i}", "emptyDir": {}} for i in range(65)],
        }
    ),
    "a container that is none": template({"containers": ["x", None]}),
    "host network": template({"hostNetwork": True}),
    "host PID": template({"hostPID": True}),
    "host IPC": template({"hostIPC": True}),
    "everything of the host": template({"hostNetwork": True, "hostPID": True, "hostIPC": True}),
    "service account": template({"serviceAccountName": "admin"}),
    "service account, by its old name": template({"serviceAccount": "admin"}),
    "token": template({"automountServiceAccountToken": True}),
    "ephemeral containers": template({"ephemeralContainers": [{"name": "x", "image": "i"}]}),
    "host path": template({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
    "projected token": template(
        {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {}}]}}]}
    ),
    **{
        f"volume: {kind}": template({"volumes": [{"name": "v", "emptyDir": {}}, {kind: {}}]})
        for kind in (
            "csi",
            "nfs",
            "iscsi",
            "ephemeral",
            "image",
            "gitRepo",
            "flexVolume",
            "unheard",
        )
    },
    "a volume of two kinds": template({"volumes": [{"name": "v", "nfs": {}, "csi": {}}]}),
    "privileged": container(securityContext={"privileged": True}),
    "privileged init container": template(
        {"initContainers": [{**CONTAINER, "securityContext": {"privileged": True}}]}
    ),
    "capability": container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}}),
    "host port": container(ports=[{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]),
    "host port 0": container(ports=[{"containerPort": 80, "hostPort": 0}]),
    **{
        f"{field} of elsewhere": container(**{field: HOOK})
        for field in ("livenessProbe", "readinessProbe", "startupProbe")
    },
    **{
        f"{field} of elsewhere": container(lifecycle={field: HOOK})
        for field in ("postStart", "preStop")
    },
    "TCP probe of elsewhere": container(livenessProbe={"tcpSocket": {"port": 1, "host": "h"}}),
    "no name": template({"containers": [{"image": "i"}]}),
    "no label": template({"containers": [{"name": "A_B", "image": "i"}]}),
    "64 characters": template({"containers": [{"name": 64 * "a", "image": "i"}]}),
    "the sidecar's name": container(name="sandbox-sidecar"),
    **{
        f"a gate's name, of an init container: {name}": template(
            {"initContainers": [{"name": name, "image": "i"}]}
        )
        for name in ("network-gate", "archive-gate")
    },
    "one name twice": template({"containers": [CONTAINER, CONTAINER]}),
    "no image": template({"containers": [{"name": "a"}, {"name": "b", "image": ""}]}),
    **{
        f"label {key}": template(labels={"team": "a", key: "true"})
        for key in ("isola.run/sandbox", "isola.run/allow-ipv4-internet-egress", "x.isola.run/y")
    },
    **{
        f"annotation {key}": template(annotations={"note": "n", key: "x"})
        for key in (
            "isola.run/sidecar-version",
            "dev.gvisor.flag.network",
            "dev.gvisor.spec.mount.v.type",
            "k8s.v1.cni.cncf.io/networks",
            "v1.multus-cni.io/default-network",
            "cni.projectcalico.org/ipAddrs",
            "k8s.ovn.org/pod-networks",
            "ovn.kubernetes.io/ip_address",
            "io.kubernetes.cri.untrusted-workload",
        )
    },
    "cloud identity": template(labels={"azure.workload.identity/use": "true"}),
}

GOOD: dict[str, Json] = {
    "the least": template(),
    "what is false or null": template(
        {
            "hostNetwork": False,
            "hostPID": None,
            "serviceAccountName": "default",
            "serviceAccount": "",
            "automountServiceAccountToken": False,
            "ephemeralContainers": [],
            "securityContext": None,
            "volumes": None,
            "initContainers": None,
        },
        labels=None,
    ),
    "a container's fields, false or null": container(
        securityContext={"privileged": False, "capabilities": {"add": [], "drop": ["ALL"]}},
        livenessProbe=None,
        lifecycle={"preStop": None},
        ports=None,
    ),
    "a security context that is null": container(securityContext=None),
    "volumes": template(
        {
            "volumes": [
                {"name": "a", "emptyDir": {}},
                {"name": "b", "configMap": {"name": "c"}},
                {"name": "c", "secret": {"secretName": "s"}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "p"}},
                {"name": "e", "downwardAPI": {}},
            ]
        }
    ),
    "probes of itself": container(
        livenessProbe={"httpGet": {"port": 80, "path": "/"}},
        readinessProbe={"tcpSocket": {"port": 80, "host": ""}},
        startupProbe={"exec": {"command": ["true"]}},
        lifecycle={"postStart": {"exec": {"command": ["true"]}}, "preStop": {"sleep": {}}},
        ports=[{"containerPort": 80}],
    ),
    "several containers": template(
        {
            "containers": [CONTAINER, {**CONTAINER, "name": "b"}],
            "initContainers": [{**CONTAINER, "name": "a" * 63}],
        }
    ),
    "labels and annotations": template(
        labels={"team": "a", "notisola.run/a": "x", "app.kubernetes.io/name": "mine"},
        annotations={"dev.example/gvisor": "x", "isola.run.example.com/a": "x"},
    ),
    "what Isola sets itself": template({"runtimeClassName": "gvisor", "restartPolicy": "Always"}),
}


def told(refusal: str) -> list[str]:
    """Return the single faults of which a refusal speaks."""
    _, _, text = refusal.strip().partition("denied request: ")
    return sorted(
        each if each.startswith("spec.") else f"spec.{each}" for each in text.split("; spec.")
    )


@pytest.mark.parametrize("given", BAD.values(), ids=BAD)
def test_what_widens_a_sandbox_is_refused_by_api_server_and_operator_in_the_same_words(
    scene: Scene, given: Json
) -> None:
    found = faults({"podTemplate": given}, blocked())
    assert found
    refusal = scene.alice.attempt(sandbox(given))
    assert told(refusal) == sorted(found)


@pytest.mark.parametrize("given", GOOD.values(), ids=GOOD)
def test_what_is_harmless_is_taken_by_both(scene: Scene, given: Json) -> None:
    assert faults({"podTemplate": given}, blocked()) == ()
    assert scene.alice.attempt(sandbox(given)) == ""


def test_administrators_and_gateways_are_refused_as_well(scene: Scene) -> None:
    for somebody in (scene.admin, scene.gateway):
        refusal = somebody.attempt(REFUSED["templates"])
        assert "spec.podTemplate.spec.hostNetwork: a sandbox shares nothing" in refusal


def test_a_refusal_of_very_much_is_cut_short(scene: Scene) -> None:
    many = template({"volumes": [{f"kind{n}": {}} for n in range(200)]})
    refusal = scene.alice.attempt(sandbox(many))
    assert "spec.podTemplate.spec.volumes[0].kind0: not allowed" in refusal
    assert refusal.strip().endswith("…")


def test_a_template_of_as_many_containers_as_there_may_be_does_not_wear_the_policy_out(
    scene: Scene,
) -> None:
    many = [{**CONTAINER, "name": f"c{n}"} for n in range(64)]
    assert scene.alice.attempt(sandbox(template({"containers": many}))) == ""


def test_a_template_cannot_be_changed_into_a_bad_one(scene: Scene) -> None:
    body = sandbox(template())
    assert scene.alice.create(body) == ""
    name = body["metadata"]["name"]
    change = {"spec": REFUSED["templates"]["spec"]}
    assert "spec.hostNetwork: a sandbox shares" in scene.alice.patch("Sandbox", name, change)
    assert scene.alice.patch("Sandbox", name, {"metadata": {"labels": {"team": "b"}}}) == ""


@pytest.mark.parametrize(
    "network",
    [
        {"nameservers": ["8.8.8.8", "169.254.169.254"]},
        {"nameservers": ["10.96.0.10"]},
        {"nameservers": ["fd00::1"], "allowIPv6Egress": True},
        {"nameservers": ["64:ff9b::a9fe:a9fe"], "allowIPv6Egress": True},
        {"allowedEgressCIDRs": ["1.1.1.0/24", "10.0.0.0/8"]},
        {"allowedEgressCIDRs": ["192.168.7.9/17"]},
        {"allowedEgressCIDRs": ["fe80::/64"], "allowIPv6Egress": True},
        {"allowedEgressCIDRs": ["10.0.0.1/32"], "nameservers": ["100.64.0.1"]},
    ],
)
def test_addresses_that_no_sandbox_reaches_are_refused_in_the_operator_s_words(
    scene: Scene, network: Json
) -> None:
    body = sandbox(template(), network=network)
    found = faults(body["spec"], blocked())
    assert found
    assert told(scene.alice.attempt(body)) == sorted(found)


def test_ranges_of_the_installation_are_among_them(scene: Scene) -> None:
    body = sandbox(template(), network={"nameservers": ["5.5.5.5"]})
    refusal = scene.alice.attempt(body)
    assert "lies in 5.5.5.0/24, a range that this installation blocks" in refusal


def test_other_addresses_are_taken(scene: Scene) -> None:
    network = {
        "nameservers": ["8.8.8.8", "2001:4860:4860::8888"],
        "allowedEgressCIDRs": ["1.0.0.0/8", "0.0.0.0/0", "8.8.8.8/7"],
        "allowIPv6Egress": True,
    }
    body = sandbox(template(), network=network)
    assert faults(body["spec"], blocked()) == ()
    assert scene.alice.attempt(body) == ""


def test_what_the_gateway_relays_of_addresses_is_left_to_the_operator(scene: Scene) -> None:
    assert scene.gateway.attempt(REFUSED["networks"]) == ""


def owner(kind: str, version: str) -> list[Json]:
    reference = {"apiVersion": version, "kind": kind, "name": "x", "uid": "u-1", "controller": True}
    return [reference]


OF_SANDBOX = owner("Sandbox", "sandbox.isola.run/v1alpha1")


@pytest.mark.parametrize(
    ("metadata", "where"),
    [
        ({"labels": {"isola.run/sandbox": "true"}}, "metadata: isola.run/sandbox"),
        ({"labels": {"isola.run/allow-cluster-dns": "true"}}, "metadata: isola.run/allow-clu"),
        ({"annotations": {"dev.gvisor.flag.network": "host"}}, "metadata: dev.gvisor.flag.n"),
        ({"ownerReferences": OF_SANDBOX}, "metadata.ownerReferences"),
    ],
)
def test_nobody_but_the_operator_makes_pods_that_pass_for_a_sandbox_s(
    scene: Scene, metadata: Json, where: str
) -> None:
    body = pod(**metadata)
    controller = scene.admin.speaking_for("system:serviceaccount:kube-system:job-controller")
    for somebody in (scene.alice, scene.admin, controller):
        refusal = somebody.attempt(body)
        assert where in refusal
        assert "Isola's operator alone makes pods that" in refusal
        assert "create a Sandbox" in refusal
    assert scene.operator.attempt(body) == ""


def test_other_pods_are_made_as_before(scene: Scene) -> None:
    assert scene.alice.attempt(pod(labels={"app": "a"})) == ""
    # As the Job controller makes those that take snapshots.
    labels = {"app.kubernetes.io/managed-by": "isola-operator", "batch.kubernetes.io/job-name": "j"}
    controller = scene.admin.speaking_for("system:serviceaccount:kube-system:job-controller")
    body = pod(labels=labels, ownerReferences=owner("Job", "batch/v1"))
    assert controller.attempt(body) == ""


@pytest.fixture
def pod_of_a_sandbox(scene: Scene) -> str:
    """A pod as the operator builds it, but for what needs a node; its name."""
    given = Sandbox(
        name=unique("s"),
        uid="u-1",
        generation=1,
        resource_version="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        spec={"podTemplate": template(labels={"team": "a"})},
    )
    body = build(given, NOTHING, PodSettings(runtime_class="", sidecar_image="s"), fresh())
    del body["spec"]["runtimeClassName"]
    body |= {"apiVersion": "v1", "kind": "Pod"}
    assert scene.operator.create(body) == ""
    return body["metadata"]["name"]


CHANGES = [
    ("labels", "isola.run/sandbox", None),
    ("labels", "isola.run/sandbox", "false"),
    ("labels", "isola.run/other", "true"),
    ("labels", "app.kubernetes.io/name", "other"),
    ("labels", "app.kubernetes.io/instance", "other"),
    ("labels", "app.kubernetes.io/managed-by", None),
    ("annotations", "dev.gvisor.flag.overlay2", "none"),
    ("annotations", "dev.gvisor.flag.network", "host"),
    ("annotations", "isola.run/sidecar-version", None),
]


@pytest.mark.parametrize("below", ["", "status"])
@pytest.mark.parametrize(("field", "key", "value"), CHANGES)
def test_nobody_slips_a_pod_out_of_its_policies_or_into_others(
    scene: Scene,
    pod_of_a_sandbox: str,
    field: str,
    key: str,
    value: str | None,
    below: str,
) -> None:
    change = {"metadata": {field: {key: value}}}
    for somebody in (scene.alice, scene.operator):
        refusal = somebody.patch("Pod", pod_of_a_sandbox, change, below=below)
        assert f"metadata.{field}: {key}: " in refusal
        assert "stays as it was made: leave it as it is" in refusal


def test_an_ordinary_pod_does_not_become_a_sandbox_s(scene: Scene) -> None:
    body = pod()
    assert scene.alice.create(body) == ""
    name = body["metadata"]["name"]
    change: Json = {"metadata": {"labels": {"isola.run/sandbox": "true"}}}
    assert "metadata.labels: isola.run/sandbox" in scene.alice.patch("Pod", name, change)
    change = {"metadata": {"ownerReferences": OF_SANDBOX}}
    assert "makes pods that belong to a Sandbox" in scene.alice.patch("Pod", name, change)
    change = {"metadata": {"labels": {"app.kubernetes.io/name": "x", "team": "b"}}}
    assert scene.alice.patch("Pod", name, change) == ""


def test_kubelets_schedulers_and_controllers_go_on_with_a_sandbox_s_pod(
    scene: Scene, pod_of_a_sandbox: str
) -> None:
    binding: Json = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod_of_a_sandbox, "annotations": {"isola.run/x": "y"}},
        "target": {"kind": "Node", "name": "n1"},
    }
    assert "metadata: isola.run/x" in scene.admin.bind(pod_of_a_sandbox, binding)
    binding["metadata"].pop("annotations")
    assert scene.admin.bind(pod_of_a_sandbox, binding) == ""
    status: Json = {"status": {"phase": "Running", "podIP": "10.0.0.9"}}
    for change, below in (
        (status, "status"),
        ({"metadata": {"annotations": {"cni.projectcalico.org/podIP": "10.0.0.9"}}}, ""),
        ({"metadata": {"labels": {"team": "b", "topology.kubernetes.io/zone": "z"}}}, ""),
        ({"metadata": {"finalizers": ["example.com/a"]}}, ""),
        ({"metadata": {"finalizers": None}}, ""),
        ({"metadata": {"ownerReferences": None}}, ""),  # as for `delete --cascade=orphan`
    ):
        assert scene.admin.patch("Pod", pod_of_a_sandbox, change, below=below) == ""
    assert scene.alice.delete("Pod", pod_of_a_sandbox) == ""


def test_nobody_else_opens_the_network(scene: Scene) -> None:
    refusal = scene.alice.create(OPENING)
    assert "can only open what Isola keeps closed" in refusal
    assert "spec.network" in refusal
    change: Json = {"spec": {"podSelector": {"matchLabels": {"nothing": "has-this"}}}}
    refusal = scene.alice.patch("NetworkPolicy", DEFAULT_DENY, change)
    assert "can only open what Isola keeps closed" in refusal
    for refusal in (
        scene.alice.delete("NetworkPolicy", DEFAULT_DENY),
        scene.alice.delete_all("NetworkPolicy"),
    ):
        assert "without this policy every sandbox is open" in refusal


def test_the_operator_writes_policies_and_whoever_could_take_the_guard_away(scene: Scene) -> None:
    for somebody in (scene.operator, scene.installer, scene.admin):
        body = copy.deepcopy(OPENING)
        name = body["metadata"]["name"] = unique("policy")
        assert somebody.create(body) == ""
        assert somebody.patch("NetworkPolicy", name, {"spec": {"egress": []}}) == ""
        assert somebody.delete("NetworkPolicy", name) == ""


def test_what_a_removal_closes_everybody_may_remove(scene: Scene) -> None:
    assert scene.operator.create(OPENING) == ""
    name = OPENING["metadata"]["name"]
    assert scene.alice.delete("NetworkPolicy", name) == ""


def test_helm_still_upgrades_the_chart_s_own_policies(scene: Scene) -> None:
    labels = VALUES | {"nameOverride": "other"}
    scene.chart.run("upgrade", *RELEASE, ".", values=labels)
    scene.chart.run("upgrade", *RELEASE, ".", values=VALUES)
    assert scene.admin.read("NetworkPolicy", DEFAULT_DENY)["spec"]["podSelector"] == {}


def test_policies_of_cilium_are_policies_too(scene: Scene) -> None:
    body = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "opening"},
        "spec": {},
    }
    group, plural = "cilium.io", "ciliumnetworkpolicies"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: Json = {"name": "v2", "served": True, "storage": True}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "CiliumNetworkPolicy", "plural": plural},
            "scope": "Namespaced",
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    done = scene.server.run_kubectl("create", "-f", "-", stdin=json.dumps(definition))
    assert done.returncode == 0, done.stderr
    wait = ("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=30s")
    scene.server.run_kubectl(*wait)
    try:
        assert "can only open what Isola keeps closed" in scene.alice.create(body)
        assert scene.installer.create(body) == ""
    finally:
        scene.server.run_kubectl("delete", "crd", f"{plural}.{group}")


def test_other_namespaces_are_left_alone(scene: Scene) -> None:
    elsewhere = replace(scene.admin, namespace="default")
    for body in REFUSED.values():
        assert elsewhere.attempt(body) == ""


@pytest.mark.parametrize("what", REFUSED)
def test_each_policy_matters(scene: Scene, what: str) -> None:
    """Among the last of these tests, because it takes the policy away."""
    assert refused(scene.alice, REFUSED[what])
    binding = ("validatingadmissionpolicybinding", f"{RELEASE_NAMESPACE}.isola.{what}")
    stored = json.loads(scene.server.run_kubectl("get", *binding, "-o", "json").stdout)
    assert scene.server.run_kubectl("delete", *binding).returncode == 0

    def taken() -> bool:
        return scene.alice.attempt(REFUSED[what]) == ""

    until(taken, seconds=60, what="it is taken")
    kept = ("name", "labels", "annotations")
    again = {**stored, "metadata": {key: stored["metadata"][key] for key in kept}}
    done = scene.server.run_kubectl("create", "-f", "-", stdin=json.dumps(again))
    assert done.returncode == 0, done.stderr
    until(lambda: refused(scene.alice, REFUSED[what]), seconds=60, what="it is refused again")


def test_a_namespace_that_goes_takes_its_policies_along(scene: Scene) -> None:
    """The last of these tests."""
    name = "system:serviceaccount:kube-system:namespace-controller"
    controller = scene.admin.speaking_for(name)
    assert controller.delete("NetworkPolicy", DEFAULT_DENY) == ""
    assert controller.delete_all("NetworkPolicy") == ""
