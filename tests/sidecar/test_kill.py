from __future__ import annotations

import time
from pathlib import Path

import pytest

from sidecar.pods import Client, Pod, eventually, pid_inside

# Each leaves the parent, session, group or environment that it could be found by.
DAEMONS = {
    "a child": "sleep 7001 &",
    "a grandchild": 'sh -c "sleep 7001 & wait" &',
    "in a session of its own": "setsid sleep 7001 &",
    "forked twice": '(setsid sh -c "sleep 7001 &" &)',
    "without its environment": '(setsid env -i /bin/sh -c "sleep 7001 & exit" &)',
    "as another user": "(setsid setpriv --reuid 1234 --clear-groups sleep 7001 &)",
    "ignoring signals": '(trap "" TERM INT HUP; setsid sleep 7001) &',
    "stopped": "sleep 7001 & sleep 0.1; kill -STOP $!",
}


def sleepers() -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes() == b"sleep\x007001\0":
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("script", DAEMONS.values(), ids=DAEMONS)
def test_killing_a_command_kills_every_descendant(client: Client, script: str) -> None:
    command = client.start("sh", "-c", f"{script}\nsleep 7001")
    eventually(lambda: len(sleepers()) >= 2)

    assert client.kill(command).status == 204
    assert client.wait(command) == {"exitCode": -1, "cause": "Signalled", "signal": "SIGKILL"}
    eventually(lambda: not sleepers())


@pytest.mark.parametrize("script", DAEMONS.values(), ids=DAEMONS)
def test_what_an_ended_command_left_behind_can_still_be_killed(client: Client, script: str) -> None:
    ran = client.sh(script)
    assert ran.exit_code == 0
    eventually(sleepers)

    assert client.kill(ran.id).status == 204
    eventually(lambda: not sleepers())


def test_a_timeout_kills_every_descendant(client: Client) -> None:
    ran = client.sh("(setsid sleep 7001 &) ; sleep 7001", timeoutSeconds=1)

    assert ran.status["cause"] == "TimedOut"
    eventually(lambda: not sleepers())


def test_a_program_that_forks_without_end_is_killed(client: Client) -> None:
    script = "f() { while :; do sleep 7001 & sleep 0.01; f2 & done; }; f2() { sleep 7001; }; f"
    command = client.start("sh", "-c", script)
    eventually(lambda: len(sleepers()) > 10)
    client.kill(command)

    assert client.wait(command)["exitCode"] == -1
    eventually(lambda: not sleepers())


def test_others_are_left_alone(client: Client) -> None:
    other = client.start("sleep", "60")
    client.kill(client.start("sh", "-c", "sleep 60 & sleep 60"))

    time.sleep(0.2)
    assert client.wait(other, 0) == {"exitCode": None}
    assert client.sh("true").exit_code == 0
    client.kill(other)


def test_killing_again_is_no_error(client: Client) -> None:
    command = client.start("sleep", "60")

    assert [client.kill(command).status for _ in range(3)] == [204] * 3
    client.wait(command)
    assert client.kill(command).status == 204


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "15", "term"])
def test_a_chosen_signal_reaches_the_program_and_its_group(client: Client, name: str) -> None:
    command = client.start("sh", "-c", "trap 'echo caught; exit 7' TERM; echo up; sleep 60 & wait")
    eventually(lambda: client.call("GET", f"/v1/commands/{command}/status"))
    connection = client.connect()
    connection.request("GET", f"/v1/commands/{command}/stdout")
    connection.getresponse().readline()
    connection.close()

    assert client.kill(command, signal=name).status == 204
    assert client.wait(command)["exitCode"] == 7


def test_an_unknown_signal_is_refused(client: Client) -> None:
    command = client.run("true").id

    assert client.kill(command, signal="NOPE").status == 422


def test_a_dead_launcher_is_replaced_and_its_commands_are_reported_lost(
    client: Client, pod: Pod
) -> None:
    command = client.start("sleep", "7001")
    eventually(sleepers)
    (launcher,) = Path(f"/proc/{pod.sidecar}/task/{pod.sidecar}/children").read_text().split()
    assert client.sh(f"kill -9 {pid_inside(int(launcher))}").status["cause"] == "Lost"

    assert client.wait(command) == {"exitCode": -1, "cause": "Lost"}
    eventually(lambda: not sleepers())
    assert client.run("true").exit_code == 0
