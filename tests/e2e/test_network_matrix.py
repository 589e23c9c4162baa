"""What sandboxes reach, and who reaches them: each setting, on both nodes, against all around them.

In the table, columns are sandboxes and rows are what they try: `+` reached, `.` not, and `!` where
that is not what was expected. In the last two columns are pods like a sandbox's that no policy
protects: they reach all of it, so what a sandbox does not reach is closed and not dead.

Where the cluster has IPv6, the rows have all of it by IPv6 as well, and there are more columns.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import httpx
import pytest

from e2e.surroundings import (
    ALLOWED,
    ALLOWED_6,
    METADATA,
    METADATA_6,
    NAMESERVER,
    NAMESERVER_6,
    OWN_KEY,
    OWN_LABEL,
    PORT,
    SIDECAR,
    Pod,
    Surroundings,
    Target,
    apply,
    listening,
    manifest,
    wait_for,
)
from support.cluster import SANDBOXES, Cluster, until

INTERNET = {"allowInternetEgress": True}
RANGE = {"allowedEgressCIDRs": [f"{ALLOWED}/32"]}
CLUSTER_DNS = {"allowClusterDNS": True}
SERVER = {"nameservers": [NAMESERVER]}
BY_NAME = {"allowedEgressDomains": ["allowed.test"]}
IPV6 = {"allowIPv6Egress": True}

# What comes of looking up a name. Who may ask nobody is told so at once; the name servers that are
# not the cluster's know no name.
NOBODY, UNKNOWN, FOUND = "no answer", "unknown", "found"
PUBLIC = {"allowed", "elsewhere", "name server", "public name servers"}
PUBLIC_6 = {"allowed v6", "elsewhere v6", "name server v6"}


@dataclass(frozen=True)
class Setting:
    """A setting of the network, and what is expected of it.

    Attributes:
        name: Of the sandbox and the column.
        network: `spec.network`.
        opens: Keys of the targets that are reached.
        lookup: What comes of looking up a name that only the cluster's name servers know.
        nodes: Where it is tried.
        only_dual: Whether it is tried only where the cluster has IPv6.
    """

    name: str
    network: dict[str, Any]
    opens: set[str]
    lookup: str
    nodes: str
    only_dual: bool = False


SETTINGS = [
    Setting("nothing", {}, set(), NOBODY, "AB"),
    Setting("internet", INTERNET, PUBLIC, UNKNOWN, "AB"),
    Setting("range", RANGE, {"allowed", "public name servers"}, UNKNOWN, "A"),
    Setting("cluster-dns", CLUSTER_DNS, {"cluster DNS"}, FOUND, "A"),
    Setting("server", SERVER, {"name server"}, UNKNOWN, "B"),
    Setting("everything", {"allowedEgressCIDRs": ["0.0.0.0/0"]}, PUBLIC, UNKNOWN, "A"),
    # 8.0.0.0 to 11.255.255.255: in it are 10.0.0.0/8, and with it this cluster's pods and services.
    Setting("around-blocked", {"allowedEgressCIDRs": ["8.0.0.0/6"]}, PUBLIC, UNKNOWN, "B"),
    Setting("range-server", RANGE | SERVER, {"allowed", "name server"}, UNKNOWN, "A"),
    Setting("range-dns", RANGE | CLUSTER_DNS, {"allowed", "cluster DNS"}, FOUND, "B"),
    Setting("dns-server", CLUSTER_DNS | SERVER, {"cluster DNS", "name server"}, FOUND, "B"),
    Setting("internet-dns", INTERNET | CLUSTER_DNS, PUBLIC | {"cluster DNS"}, FOUND, "A"),
    Setting("internet-v6", INTERNET | IPV6, PUBLIC | PUBLIC_6 | {"NAT64"}, UNKNOWN, "AB"),
    Setting("by-name", BY_NAME, {"resolver by name", "by name"}, UNKNOWN, "A"),
    Setting("by-no-name", {"allowedEgressDomains": []}, {"resolver by name"}, UNKNOWN, "B"),
    Setting(
        "by-name-range",
        BY_NAME | RANGE,
        {"resolver by name", "by name", "allowed"},
        UNKNOWN,
        "B",
    ),
    Setting(
        "range-v6",
        IPV6 | {"allowedEgressCIDRs": [f"{ALLOWED_6}/128"]},
        {"allowed v6", "public name servers"},
        UNKNOWN,
        "AB",
        only_dual=True,
    ),
    Setting(
        "everything-v6",
        IPV6 | {"allowedEgressCIDRs": ["::/0"]},
        PUBLIC_6 | {"NAT64", "public name servers"},
        UNKNOWN,
        "B",
        only_dual=True,
    ),
    # In it are the documentation's range, 6to4 and others that are blocked; NAT64 is not.
    Setting(
        "around-blocked-v6",
        IPV6 | {"allowedEgressCIDRs": ["2000::/3"]},
        PUBLIC_6 | {"public name servers"},
        UNKNOWN,
        "A",
        only_dual=True,
    ),
    Setting(
        "server-v6",
        IPV6 | {"nameservers": [NAMESERVER_6]},
        {"name server v6"},
        UNKNOWN,
        "B",
        only_dual=True,
    ),
    Setting(
        "by-name-v6",
        BY_NAME | IPV6,
        {"resolver by name", "by name"},
        UNKNOWN,
        "B",
        only_dual=True,
    ),
]
# A policy engine that has two dozen pods at once to do takes longer than their gates wait for it.
AT_ONCE = 5
LOOKUP = Target("a name", "name", "kubernetes.default.svc.cluster.local", 0)


@dataclass(frozen=True)
class Column:
    """A sandbox of the table."""

    setting: Setting
    label: str

    @property
    def name(self) -> str:
        return f"{self.setting.name} at {self.label}"

    @property
    def sandbox(self) -> str:
        return f"matrix-{self.setting.name}-{self.label.lower()}"

    @property
    def pod(self) -> Pod:
        return Pod(SANDBOXES, f"{self.sandbox}-pod")


COLUMNS = [Column(setting, label) for setting in SETTINGS for label in setting.nodes]
VICTIMS = [each for each in COLUMNS if each.setting.name in {"nothing", "internet"}]

each_column = pytest.mark.parametrize("column", COLUMNS, ids=[each.name for each in COLUMNS])


@dataclass
class Table:
    """What was tried and what came of it.

    Attributes:
        targets: The rows.
        columns: Of each row, whether it is expected to be reached, and what came of it.
        lookups: What came of looking up a name, by column.
    """

    targets: list[Target]
    columns: dict[str, list[tuple[bool, str]]] = field(default_factory=dict[str, Any])
    lookups: dict[str, str] = field(default_factory=dict[str, str])

    def wrong(self, column: str) -> list[str]:
        """Return what is not as expected in a column."""
        return [
            f"{told(target)}: {came}, expected to be {'reached' if opened else 'closed'}"
            for target, (opened, came) in zip(self.targets, self.columns[column], strict=True)
            if mark(opened, came) == "!"
        ]

    def __str__(self) -> str:
        """Return it for people."""
        letters = dict(zip(self.columns, string.ascii_letters, strict=False))
        width = max(len(told(target)) for target in self.targets) + 2
        rows = (
            f"{told(target):{width}}" + "".join(mark(*self.columns[c][row]) for c in letters)
            for row, target in enumerate(self.targets)
        )
        legend = (f"{letter}  {column}" for column, letter in letters.items())
        return "\n".join(["", *legend, f"{'':{width}}{''.join(letters.values())}", *rows])


def told(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.what}, {target.protocol} {host}:{target.port}"


def mark(opened: bool, came: str) -> str:  # noqa: FBT001 - a cell of the table
    reached = came == "reached"
    return ("+" if reached else ".") if reached == opened else "!"


def columns(around: Surroundings) -> list[Column]:
    """Return what this cluster can show."""
    return [each for each in COLUMNS if around.dual or not each.setting.only_dual]


@pytest.fixture(scope="module")
def sandboxes(cluster: Cluster, around: Surroundings) -> Iterator[None]:
    """One for each column; each listens as the pods around it do."""
    items = [
        {
            "apiVersion": "sandbox.isola.run/v1alpha1",
            "kind": "Sandbox",
            "metadata": {"name": each.sandbox, "namespace": SANDBOXES, "labels": OWN_LABEL},
            "spec": {
                "timeoutSeconds": 1800,
                "network": each.setting.network,
                "podTemplate": {
                    "spec": {
                        "nodeSelector": {"kubernetes.io/hostname": around.node(each.label)},
                        "containers": [listening(cluster, *own_port(around))],
                    }
                },
            },
        }
        for each in columns(around)
    ]
    names = [f"sandbox/{each.sandbox}" for each in COLUMNS]
    try:
        for first in range(0, len(items), AT_ONCE):
            apply(cluster, items[first : first + AT_ONCE])
            until(lambda: all_run(cluster), seconds=110, what="sandboxes that run")
        wait_for(cluster, *(each.pod for each in VICTIMS))
        yield
    finally:
        cluster.kubectl("delete", "-n", SANDBOXES, "--ignore-not-found", *names, check=False)


def own_port(around: Surroundings) -> list[str]:
    """Return where each sandbox listens."""
    return [f"{host}:{PORT}" for host in around.everywhere]


def all_run(cluster: Cluster) -> bool:
    """Return whether all sandboxes of the table that there are run; one that ended is a failure."""
    found = cluster.get("sandboxes", selector=f"{OWN_KEY}={OWN_LABEL[OWN_KEY]}")["items"]
    newest = {e["metadata"]["name"]: e.get("status", {}).get("conditions", [{}])[0] for e in found}
    ended = {name: entry for name, entry in newest.items() if entry.get("type") == "Succeeded"}
    assert not ended, ended
    return all(entry.get("reason") == "PodReady" for entry in newest.values())


@pytest.fixture(scope="module")
def victims(around: Surroundings, sandboxes: None) -> list[Target]:
    """Sandboxes, which nobody but the gateway reaches, and themselves."""
    assert sandboxes is None
    return [
        Target(f"sandbox {each.name}", protocol, address, port, key=each.name)
        for each in VICTIMS
        for address in around.addresses_of(each.pod)
        for protocol, port in (("tcp", PORT), ("udp", PORT), ("tcp", SIDECAR))
    ]


@pytest.fixture(scope="module")
def table(around: Surroundings, victims: list[Target]) -> Table:
    """All that is around, tried by all at once."""
    open_to_all = around.targets()
    table = Table([*open_to_all, *around.by_name(), *victims])
    opened = {each.name: each.setting.opens | {each.name} for each in columns(around)}
    pods = {each.name: each.pod for each in columns(around)}
    pods |= {f"no policies, at {label}": around.open(label) for label in "AB"}
    tried = [*table.targets, LOOKUP]
    with ThreadPoolExecutor(4) as several:
        found = several.map(around.probe, pods.values(), repeat(tried))
    for name, came in zip(pods, found, strict=True):
        keys = opened.get(name)
        expected = (t.key in keys if keys else t in open_to_all for t in table.targets)
        table.columns[name] = list(zip(expected, came, strict=False))
        table.lookups[name] = came[-1]
    return table


def test_what_was_tried_is_told(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(table)  # noqa: T201 - whoever runs the tests reads it
    assert len(table.columns) >= len([each for each in COLUMNS if not each.setting.only_dual]) + 2


@pytest.mark.parametrize("label", "AB")
def test_a_pod_like_a_sandbox_s_without_policies_reaches_all_of_it(
    table: Table, label: str
) -> None:
    assert table.wrong(f"no policies, at {label}") == []


def must_be_there(table: Table, column: Column) -> None:
    if column.name not in table.columns and column.setting.only_dual:
        pytest.skip("the pods of this cluster have no IPv6")


@each_column
def test_a_sandbox_reaches_what_its_setting_opens_and_nothing_else(
    table: Table, column: Column
) -> None:
    must_be_there(table, column)
    assert table.wrong(column.name) == []


@each_column
def test_a_name_is_looked_up_where_it_may_be_and_nowhere_else_at_once(
    table: Table, column: Column
) -> None:
    must_be_there(table, column)
    assert table.lookups[column.name] == column.setting.lookup


STRANGERS = {"a pod in default": "default", "a pod among the sandboxes": SANDBOXES}


@pytest.fixture(scope="module")
def strangers(around: Surroundings, cluster: Cluster) -> dict[str, Pod]:
    """Pods that try to get in. That among the sandboxes may go out wherever it likes."""
    pods = {what: Pod(namespace, "isola-stranger") for what, namespace in STRANGERS.items()}
    policy: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "isola-stranger", "namespace": SANDBOXES, "labels": OWN_LABEL},
        "spec": {
            "podSelector": {"matchLabels": OWN_LABEL},
            "policyTypes": ["Egress"],
            "egress": [{}],
        },
    }
    apply(
        cluster,
        [
            policy,
            *(manifest(cluster, pod, around.node("B"), *own_port(around)) for pod in pods.values()),
        ],
    )
    wait_for(cluster, *pods.values())
    return pods | {f"node {label}": around.host(label) for label in "AB"}


@pytest.mark.parametrize("who", [*STRANGERS, "node A", "node B"])
def test_nobody_gets_in(
    around: Surroundings, strangers: dict[str, Pod], table: Table, victims: list[Target], who: str
) -> None:
    """But a node to what runs on it: kubelets probe, so Kubernetes always lets them."""
    unprotected = [target for target in table.targets if target.what.startswith("pod at")]
    found = around.probe(strangers[who], [*unprotected, *victims])
    assert found[: len(unprotected)] == ["reached"] * len(unprotected)
    reached = {
        target.key
        for target, came in zip(victims, found[len(unprotected) :], strict=True)
        if came == "reached"
    }
    assert reached == {each.name for each in VICTIMS if who == f"node {each.label}"}


@pytest.mark.parametrize("protocol", ["IPv4", "IPv6"])
def test_name_servers_in_blocked_ranges_are_refused(
    cluster: Cluster,
    around: Surroundings,
    http: httpx.Client,
    create: Callable[..., Any],
    protocol: str,
) -> None:
    blocked = [around.resolver(), METADATA, around.addresses[0]]
    if protocol == "IPv6":
        blocked = ["fe80::1", METADATA_6, *around.addresses_6[:1]]
    network = {"nameservers": blocked, "allowIPv6Egress": True}
    name = create({}, network=network, headers={"Prefer": "wait=25"})["id"]
    shown = http.get(f"/sandboxes/{name}", params={"waitSeconds": 25}).json()
    assert (shown["status"], shown["reason"]) == ("Failed", "SpecInvalid")
    assert all(each in shown["message"] for each in blocked)
    assert cluster.get("pod", f"{name}-pod") is None
