"""NetworkPolicies on a real API server: before the pod, kept as they should be, and changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from isola_lifecycle.errors import AlreadyExistsError, NotFoundError
from isola_lifecycle.log import Condition, Fact
from isola_lifecycle.sandbox import rules
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.intents import Asker, change_network, confirm_network
from isola_lifecycle.sandbox.network import NOTHING, Network, network_of
from isola_operator.__main__ import run, utc_now
from isola_operator.policies import policies_path
from isola_operator.settings import Settings
from isola_store.client import MERGE_PATCH, KubernetesClient
from isola_store.kubernetes import KubernetesSandboxes
from isola_store.port import Draft, Sandbox
from isola_store.ranges import NODES_PATH, Configured
from support.kubelet import PODS, Kubelet
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.store import SPEC, unique

pytestmark = pytest.mark.apiserver

INTERNET = {"allowInternetEgress": True}
KNOWN = Configured(
    pods=(ip_network("11.0.0.0/8"),),
    services=(ip_network("12.0.0.0/8"),),
    nodes=(ip_network("13.0.0.0/8"),),
)


@dataclass
class Scene:
    """An API server whose cluster has an operator."""

    client: KubernetesClient
    store: KubernetesSandboxes
    kubelet: Kubelet
    kubeconfig: str

    @asynccontextmanager
    async def operator(self, **changes: Any) -> AsyncGenerator[None]:
        usual: dict[str, Any] = {
            "namespace": NAMESPACE,
            "own_namespace": "default",
            "sidecar_image": "sidecar:1",
            "kubeconfig": self.kubeconfig,
            "metrics_port": free_port(),
            "health_port": free_port(),
            "ranges": KNOWN,
        }
        settings = Settings(**{**usual, **changes})
        stop = asyncio.Event()
        task = asyncio.create_task(run(settings, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def create(self, network: dict[str, Any] | None = None, **spec: Any) -> str:
        name = unique("network")
        with_network = {"network": network} if network is not None else {}
        await self.store.create(Draft(name=name, spec={**SPEC, **with_network, **spec}))
        return name

    async def runs(self, network: dict[str, Any] | None = None) -> str:
        name = await self.create(network)
        await self.until(name, has_pod)
        await self.kubelet.start(name)
        await self.until(name, lambda sandbox: fold(sandbox.log).ready)
        return name

    async def until(self, name: str, done: Callable[[Sandbox], bool]) -> Sandbox:
        async with asyncio.timeout(60):
            while not done(sandbox := await self.store.read(name)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return sandbox

    async def policy(self, name: str) -> dict[str, Any] | None:
        path = f"{policies_path(NAMESPACE)}/{name}-custom-netpol"
        with suppress(NotFoundError):
            return await self.client.request("GET", path)
        return None

    async def until_policy(self, name: str, done: Callable[[Any], bool]) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while not done(policy := await self.policy(name)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return policy or {}

    async def change(self, name: str, network: Network) -> Sandbox:
        """Ask for another network as the gateway does."""
        sandbox = await self.store.read(name)
        asker = Asker(caller="10.0.0.7", request_id="r-1", now=utc_now())
        promised = network_of(sandbox.spec.get("network"))
        facts = change_network(fold(sandbox.log), promised, network, asker)
        assert isinstance(facts, tuple)
        return await self.append(sandbox, facts)

    async def gets_through(self, name: str) -> Sandbox:
        """Say that the newest change is in force as the gateway does."""
        sandbox = await self.store.read(name)
        state = fold(sandbox.log)
        asker = Asker(caller="10.0.0.7", request_id="r-1", now=utc_now())
        return await self.append(sandbox, confirm_network(state, state.network_change, asker))

    async def append(self, sandbox: Sandbox, facts: tuple[Fact, ...]) -> Sandbox:
        assert facts
        entries = extend(sandbox.log, facts, at=utc_now(), generation=1)
        version = sandbox.log.version
        return await self.store.append(sandbox.name, entries, expected_version=version)


@pytest.fixture
async def scene(api_server: ApiServer) -> AsyncGenerator[Scene]:
    kubeconfig = str(api_server.kubeconfig)
    async with await KubernetesClient.connect(kubeconfig) as client:
        kubelet = Kubelet(client)
        await kubelet.prepare()
        yield Scene(client, KubernetesSandboxes(client, NAMESPACE), kubelet, kubeconfig)


def told(sandbox: Sandbox) -> list[Condition]:
    return [e for e in sandbox.log if e.type == "NetworkConfigured"]


def reasons(*expected: str) -> Callable[[Sandbox], bool]:
    return lambda sandbox: [e.reason for e in told(sandbox)] == list(expected)


def has_pod(sandbox: Sandbox) -> bool:
    return bool(fold(sandbox.log).pod_uid)


def ended(sandbox: Sandbox) -> bool:
    return fold(sandbox.log).outcome is not None


def blocks(policy: dict[str, Any] | None) -> dict[str, list[str]]:
    """Return ranges that a policy opens, each with what is cut out of it."""
    rules: list[dict[str, Any]] = policy["spec"]["egress"] if policy else []
    found: list[dict[str, Any]] = [
        peer["ipBlock"] for rule in rules if "ports" not in rule for peer in rule["to"]
    ]
    return {block["cidr"]: block.get("except", []) for block in found}


async def test_without_settings_there_is_no_policy_and_the_log_says_that_nothing_is_open(
    scene: Scene,
) -> None:
    async with scene.operator():
        name = await scene.create()
        sandbox = await scene.until(name, has_pod)
    (configured,) = told(sandbox)
    assert configured.reason == "NothingAllowed"
    assert "policy" not in configured.data
    assert await scene.policy(name) is None


async def test_the_policy_is_there_before_the_pod_and_belongs_to_the_sandbox(scene: Scene) -> None:
    async with scene.operator():
        name = await scene.create(INTERNET)
        sandbox = await scene.until(name, has_pod)
    policy, pod = await scene.policy(name), await scene.client.request("GET", f"{PODS}/{name}-pod")
    assert policy is not None
    assert int(policy["metadata"]["resourceVersion"]) < int(pod["metadata"]["resourceVersion"])
    assert [owner["uid"] for owner in policy["metadata"]["ownerReferences"]] == [sandbox.uid]
    selector = policy["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= pod["metadata"]["labels"].items()
    assert {"10.0.0.0/7", "12.0.0.0/7"} <= set(blocks(policy)["0.0.0.0/0"])  # two in one
    types = [e.type for e in sandbox.log]
    assert types.index("NetworkConfigured") < types.index("PodCreated")
    assert told(sandbox)[0].data["policy"] == policy["metadata"]["name"]
    assert pod["spec"]["dnsConfig"]["nameservers"] == ["8.8.8.8", "1.1.1.1"]


async def test_a_policy_that_is_edited_or_deleted_is_put_right_and_that_is_told_once(
    scene: Scene,
) -> None:
    async with scene.operator():
        name = await scene.create(INTERNET)
        await scene.until(name, has_pod)
        right = (await scene.policy(name) or {})["spec"]
        path = f"{policies_path(NAMESPACE)}/{name}-custom-netpol"
        everything: dict[str, Any] = {"spec": {"egress": [{}]}}
        await scene.client.request("PATCH", path, everything, content_type=MERGE_PATCH)
        await scene.until(name, reasons("PolicyApplied", "PolicyCorrected"))
        await scene.until_policy(name, lambda policy: policy and policy["spec"] == right)
        await scene.client.request("DELETE", path)
        await scene.until_policy(name, lambda policy: policy and policy["spec"] == right)
        await asyncio.sleep(0.3)
        assert reasons("PolicyApplied", "PolicyCorrected")(await scene.store.read(name))


async def test_an_operator_that_starts_anew_finds_nothing_to_correct(scene: Scene) -> None:
    async with scene.operator():
        name = await scene.create({**INTERNET, "allowClusterDNS": True, "allowIPv6Egress": True})
        before = await scene.until(name, has_pod)
    async with scene.operator():
        other = await scene.create()
        await scene.until(other, has_pod)
    assert (await scene.store.read(name)).log == before.log


async def test_a_change_is_answered_when_the_policy_is_another(scene: Scene) -> None:
    async with scene.operator():
        name = await scene.runs()
        await scene.change(name, Network(cidrs=("1.2.0.0/16",)))
        await scene.until(name, reasons("NothingAllowed", "PolicyApplied"))
        assert blocks(await scene.policy(name)) == {"1.2.0.0/16": []}
        await scene.change(name, NOTHING)
        sandbox = await scene.until(
            name, reasons("NothingAllowed", "PolicyApplied", "NothingAllowed")
        )
        assert await scene.policy(name) is None
    assert fold(sandbox.log).network == NOTHING


async def test_a_change_into_this_cluster_s_own_ranges_is_refused_and_changes_nothing(
    scene: Scene,
) -> None:
    async with scene.operator():
        name = await scene.runs()
        await scene.change(name, Network(cidrs=("11.1.0.0/16",)))
        sandbox = await scene.until(name, reasons("NothingAllowed", "ChangeRefused"))
        assert await scene.policy(name) is None
    assert "11.1.0.0/16 lies in 11.0.0.0/8, pods of this cluster" in told(sandbox)[-1].message
    assert not ended(sandbox)


async def test_a_pod_has_canaries_by_both_protocols_where_the_operator_has_an_address_of_each(
    scene: Scene,
) -> None:
    port = free_port()
    addresses = ("11.0.0.9", "2600:11::9")
    async with scene.operator(own_addresses=addresses, gate_seconds=7, canary_port=port):
        name = await scene.create()
        await scene.until(name, has_pod)
        pod = json.dumps(await scene.client.request("GET", f"{PODS}/{name}-pod"))
        for loopback in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(loopback, port)
            writer.close()
    assert f"11.0.0.9:{port}" in pod
    assert f"[2600:11::9]:{port}" in pod


# --- the door of a change ----------------------------------------------------------------------


@pytest.fixture
def with_doors() -> dict[str, Any]:
    """Settings of an operator that has doors, as the chart gives them."""
    labels = {"app.kubernetes.io/component": "operator"}
    ports = tuple(free_port() for _ in range(3))
    return {"own_addresses": ("11.0.0.9",), "door_ports": ports, "own_labels": labels}


def opened(policy: dict[str, Any] | None) -> list[int]:
    """Return the ports of operators that a policy opens."""
    rules: list[dict[str, Any]] = policy["spec"]["egress"] if policy else []
    own = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
    }
    return [port["port"] for rule in rules if rule["to"] == [own] for port in rule["ports"]]


def door_of(sandbox: Sandbox) -> int:
    return int(told(sandbox)[-1].data["door"].removeprefix("11.0.0.9:"))


async def test_a_change_comes_with_a_door_of_its_own_which_goes_once_it_is_seen_in_force(
    scene: Scene, with_doors: dict[str, Any]
) -> None:
    async with scene.operator(**with_doors):
        name = await scene.runs()
        await scene.change(name, Network(cidrs=("1.2.0.0/16",)))
        sandbox = await scene.until(name, reasons("NothingAllowed", "PolicyApplied"))
        policy = await scene.policy(name)
        assert opened(policy) == [door_of(sandbox)]
        assert blocks(policy) == {"1.2.0.0/16": []}
        _, writer = await asyncio.open_connection("127.0.0.1", door_of(sandbox))
        writer.close()
        await scene.gets_through(name)
        policy = await scene.until_policy(name, lambda policy: not opened(policy))
        assert blocks(policy) == {"1.2.0.0/16": []}
        await asyncio.sleep(0.3)
        sandbox = await scene.store.read(name)
    assert [e.type for e in sandbox.log][-3:] == [
        "NetworkChanged",
        "NetworkConfigured",
        "NetworkEnforced",
    ]
    assert {e.request_id for e in sandbox.log.entries[-3::2]} == {"r-1"}


async def test_where_nothing_is_left_open_the_door_is_a_policy_for_as_long_as_it_takes(
    scene: Scene, with_doors: dict[str, Any]
) -> None:
    async with scene.operator(**with_doors):
        name = await scene.runs(INTERNET)
        await scene.change(name, NOTHING)
        sandbox = await scene.until(name, reasons("PolicyApplied", "NothingAllowed"))
        policy = await scene.policy(name)
        assert opened(policy) == [door_of(sandbox)]
        assert policy
        assert len(policy["spec"]["egress"]) == 1
        await scene.gets_through(name)
        await scene.until_policy(name, lambda policy: policy is None)
        await asyncio.sleep(0.3)
        assert told(await scene.store.read(name))[-1].reason == "NothingAllowed"


async def test_a_door_that_nobody_came_through_is_closed_and_the_log_says_so(
    scene: Scene, with_doors: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "DOOR_TIME", timedelta(seconds=1))
    async with scene.operator(**with_doors):
        name = await scene.runs()
        await scene.change(name, Network(cidrs=("1.2.0.0/16",)))
        await scene.until(name, lambda s: s.log.entries[-1].type == "NetworkEnforced")
        policy = await scene.until_policy(name, lambda policy: not opened(policy))
        sandbox = await scene.store.read(name)
    assert blocks(policy) == {"1.2.0.0/16": []}
    last = sandbox.log.entries[-1]
    assert (last.status, last.reason, last.actor) == ("False", "NotSeenInForce", "operator")


async def test_an_operator_that_died_with_a_door_open_is_followed_by_one_that_closes_it(
    scene: Scene, with_doors: dict[str, Any]
) -> None:
    async with scene.operator(**with_doors):
        name = await scene.runs()
        await scene.change(name, Network(cidrs=("1.2.0.0/16",)))
        sandbox = await scene.until(name, reasons("NothingAllowed", "PolicyApplied"))
    await scene.gets_through(name)
    assert opened(await scene.policy(name)) == [door_of(sandbox)]
    # The one that follows has its doors elsewhere, and an open one stays where the log has it.
    other = {**with_doors, "own_addresses": ("11.0.0.10",), "door_ports": (free_port(),)}
    async with scene.operator(**other):
        await scene.until_policy(name, lambda policy: not opened(policy))
        await scene.change(name, NOTHING)
        sandbox = await scene.until(
            name, reasons("NothingAllowed", "PolicyApplied", "NothingAllowed")
        )
        assert told(sandbox)[-1].data["door"] == f"11.0.0.10:{other['door_ports'][0]}"
    async with scene.operator(**with_doors):
        await scene.until(await scene.create(), has_pod)
        assert opened(await scene.policy(name)) == [other["door_ports"][0]]
        await scene.gets_through(name)
        await scene.until_policy(name, lambda policy: policy is None)
    assert "PolicyCorrected" not in {e.reason for e in (await scene.store.read(name)).log}


async def test_changes_that_follow_one_another_closely_end_with_the_last_one_and_no_door(
    scene: Scene, with_doors: dict[str, Any]
) -> None:
    async with scene.operator(**with_doors):
        name = await scene.runs()
        for number in range(1, 5):
            await scene.change(name, Network(cidrs=(f"1.{number}.0.0/16",)))
            await scene.until(name, lambda s: fold(s.log).network_asked is None)
            await scene.gets_through(name)
        policy = await scene.until_policy(name, lambda p: p and not opened(p))
        sandbox = await scene.store.read(name)
    assert blocks(policy) == {"1.4.0.0/16": []}
    assert {e.reason for e in told(sandbox)} == {"NothingAllowed", "PolicyApplied"}


@pytest.mark.parametrize(
    ("network", "word"),
    [
        ({"allowedEgressCIDRs": ["10.1.0.0/16"]}, "10.0.0.0/8"),
        ({"allowedEgressCIDRs": ["13.1.0.0/16"]}, "nodes of this cluster"),
        ({"nameservers": ["169.254.169.254"]}, "169.254.0.0/16"),
    ],
)
async def test_what_is_blocked_ends_the_sandbox_with_the_name_of_what_blocks_it(
    scene: Scene, network: dict[str, Any], word: str
) -> None:
    async with scene.operator():
        name = await scene.create(network)
        sandbox = await scene.until(name, ended)
    assert sandbox.log.entries[-1].reason == "SpecInvalid"
    assert word in sandbox.log.entries[-1].message
    assert not has_pod(sandbox)


async def test_where_the_cluster_s_ranges_are_not_known_nothing_is_opened(scene: Scene) -> None:
    async with scene.operator(ranges=Configured()):
        closed = await scene.create()
        await scene.until(closed, has_pod)
        name = await scene.create(INTERNET, startupTimeoutSeconds=1)
        sandbox = await scene.until(name, ended)
    assert [e.reason for e in told(sandbox)] == ["ClusterRangesUnknown"]
    assert "operator.network.podCIDRs" in told(sandbox)[0].message
    assert sandbox.log.entries[-1].reason == "ClusterRangesUnknown"
    assert await scene.policy(name) is None


async def test_what_nodes_and_service_ranges_say_is_cut_out_also_when_it_comes_later(
    scene: Scene,
) -> None:
    await _node(scene, "early", "21.1.0.0/24", "22.0.0.1")
    async with scene.operator(ranges=Configured(), discovery=True):
        name = await scene.create(INTERNET)
        await scene.until(name, has_pod)
        cut_out = set(blocks(await scene.policy(name))["0.0.0.0/0"])
        assert {"21.1.0.0/24", "22.0.0.1/32"} <= cut_out
        await _node(scene, "late", "21.2.0.0/24", "22.0.0.2")
        await scene.until_policy(
            name, lambda policy: "22.0.0.2/32" in blocks(policy).get("0.0.0.0/0", [])
        )
    for node in ("early", "late"):
        await scene.client.request("DELETE", f"{NODES_PATH}/{node}")


async def _node(scene: Scene, name: str, pods: str, address: str) -> None:
    body = {"metadata": {"name": name}, "spec": {"podCIDR": pods, "podCIDRs": [pods]}}
    with suppress(AlreadyExistsError):
        await scene.client.request("POST", NODES_PATH, body)
    status = {"status": {"addresses": [{"type": "InternalIP", "address": address}]}}
    path = f"{NODES_PATH}/{name}/status"
    await scene.client.request("PATCH", path, status, content_type=MERGE_PATCH)
