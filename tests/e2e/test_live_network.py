"""What a living sandbox may reach is changed: in force, both ways, before the call returns."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import isola
import pytest

from e2e.surroundings import ALLOWED_6, PORT, Surroundings
from e2e.world import SERVER, world
from support.cluster import SANDBOXES, Cluster, until

Create = Callable[..., dict[str, Any]]
OPEN = {"allowedEgressCIDRs": [f"{SERVER}/32"]}
ROUNDS = 20

# One connection, and what came of it.
ATTEMPT = textwrap.dedent("""
    import socket, sys
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
        print("reached")
    except OSError as error:
        print(f"not reached: {error}")
""")


@pytest.fixture(scope="module", autouse=True)
def target(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with world(cluster, tmp_path_factory.mktemp("world")) as path:
        yield path


def change(http: httpx.Client, name: str, network: dict[str, Any], request_id: str = "") -> Any:
    headers = {"X-Request-Id": request_id} if request_id else {}
    answer = http.patch(f"/sandboxes/{name}", json={"network": network}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def attempt(sandbox: isola.Sandbox, host: str = SERVER, port: int = 80) -> str:
    done = sandbox.commands.run("python3", "-c", ATTEMPT, host, str(port))
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def running(http: httpx.Client, client: isola.Isola, created: dict[str, Any]) -> isola.Sandbox:
    shown = http.get(f"/sandboxes/{created['id']}", params={"waitSeconds": 25}).json()
    assert shown["status"] == "Running", shown
    return client.sandboxes.get(created["id"])


def test_the_very_first_connection_after_each_change_meets_it(
    cluster: Cluster, http: httpx.Client, client: isola.Isola, create: Create
) -> None:
    sandbox = running(http, client, create())
    assert attempt(sandbox).startswith("not reached")
    for number in range(ROUNDS):
        assert change(http, sandbox.id, OPEN)["network"] == OPEN
        assert attempt(sandbox) == "reached", f"round {number}, opened"
        assert change(http, sandbox.id, {})["network"] == {}
        assert attempt(sandbox).startswith("not reached"), f"round {number}, closed"
    history = http.get(f"/sandboxes/{sandbox.id}/history").json()["entries"]
    seen = [e["status"] for e in history if e["type"] == "NetworkEnforced"]
    assert seen == ["True"] * 2 * ROUNDS
    assert "PolicyCorrected" not in {e["reason"] for e in history}
    policy = ("get", "networkpolicy", f"{sandbox.id}-custom-netpol", "-n", SANDBOXES, "-o", "name")
    until(
        lambda: not cluster.kubectl(*policy, "--ignore-not-found").stdout,
        seconds=30,
        what="no policy and no door left",
    )


def test_by_ipv6_it_meets_it_too(
    around: Surroundings, http: httpx.Client, client: isola.Isola, create: Create
) -> None:
    """Engines write their rules for one protocol after the other: a door has an address of each."""
    if not around.dual:
        pytest.skip("the pods of this cluster have no IPv6")
    wide = {"allowIPv6Egress": True, "allowedEgressCIDRs": [f"{ALLOWED_6}/128"]}
    sandbox = running(http, client, create())
    for number in range(ROUNDS // 2):
        change(http, sandbox.id, wide)
        assert attempt(sandbox, ALLOWED_6, PORT) == "reached", f"round {number}, opened"
        change(http, sandbox.id, {})
        came = attempt(sandbox, ALLOWED_6, PORT)
        assert came.startswith("not reached"), f"round {number}, closed"


def test_kubectl_tells_what_applies_since_when_and_by_whom(
    cluster: Cluster, http: httpx.Client, client: isola.Isola, create: Create
) -> None:
    sandbox = running(http, client, create())
    change(http, sandbox.id, OPEN, "who-asked")
    changed, configured, enforced = cluster.log(sandbox.id)[-3:]
    assert [e["type"] for e in (changed, configured, enforced)] == [
        "NetworkChanged",
        "NetworkConfigured",
        "NetworkEnforced",
    ]
    assert json.loads(changed["data"]["network"]) == OPEN
    assert f"May be reached: {SERVER}/32" in configured["message"]
    for entry in (changed, enforced):
        assert entry["actor"].startswith("gateway on behalf of ")
        assert (entry["requestId"], bool(entry["lastTransitionTime"])) == ("who-asked", True)
    told = cluster.kubectl("describe", "sandbox", sandbox.id, "-n", SANDBOXES).stdout
    for word in ("NetworkEnforced", "SeenInForce", "who-asked", f"{SERVER}/32"):
        assert word in told


def test_a_change_outlives_an_operator_that_dies_on_the_way_and_leaves_no_door(
    cluster: Cluster, http: httpx.Client, client: isola.Isola, create: Create
) -> None:
    sandbox = running(http, client, create())
    cluster.delete_pod_of("operator")
    first = http.patch(f"/sandboxes/{sandbox.id}", json={"network": OPEN})
    assert first.status_code in {200, 503}, first.text
    until(
        lambda: http.patch(f"/sandboxes/{sandbox.id}", json={"network": OPEN}).status_code == 200,
        seconds=120,
        what="a change that is in force",
    )
    assert attempt(sandbox) == "reached"

    def rules() -> list[Any]:
        policy = cluster.get("networkpolicy", f"{sandbox.id}-custom-netpol", SANDBOXES)
        return [rule for rule in policy["spec"]["egress"] if "podSelector" in str(rule)]

    until(lambda: not rules(), seconds=30, what="no door left")
