from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.pods import Client, Container, Pod, eventually, pid_inside


def test_a_command_answers_with_an_id_and_ends_with_its_exit_code(client: Client) -> None:
    ran = client.sh("echo out; echo err >&2; exit 3")

    assert (ran.exit_code, ran.stdout, ran.stderr) == (3, "out\n", "err\n")
    assert ran.status == {"exitCode": 3, "cause": "Exited"}


@pytest.mark.parametrize(
    ("args", "exit_code", "complaint"),
    [
        pytest.param(["no-such-program"], 127, "not found", id="nowhere in PATH"),
        pytest.param(["/no/such"], 127, "not found", id="no such path"),
        pytest.param(["/etc/passwd/x"], 127, "not found", id="a path through a file"),
        pytest.param(["/etc/passwd"], 126, "not executable", id="no execute bit"),
        pytest.param(["/etc"], 126, "not executable", id="a directory"),
        pytest.param(["/bin/echo", "x" * 140_000], 126, "too long", id="an argument too long"),
    ],
)
def test_a_program_that_cannot_run_ends_as_a_shell_would_say(
    client: Client, args: list[str], exit_code: int, complaint: str
) -> None:
    ran = client.run(*args)

    assert ran.exit_code == exit_code
    assert ran.stderr.startswith(f"isola: {args[0]}: ")
    assert complaint in ran.stderr


def test_a_program_ended_by_a_signal_has_exit_code_minus_one(client: Client) -> None:
    ran = client.sh("kill -TERM $$")

    assert ran.status == {"exitCode": -1, "cause": "Signalled", "signal": "SIGTERM"}


def test_a_script_without_interpreter_line_is_given_to_the_shell(client: Client) -> None:
    client.sh("printf 'echo from $1' > /empty/script; chmod +x /empty/script")

    assert client.run("/empty/script", "me").stdout == "from me\n"


def test_a_script_whose_interpreter_is_missing_is_not_found(client: Client) -> None:
    client.sh("printf '#!/no/such\\n' > /empty/orphan; chmod +x /empty/orphan")

    assert client.run("/empty/orphan").exit_code == 127


def test_the_program_is_looked_up_in_the_commands_own_path(client: Client) -> None:
    client.sh(
        "mkdir -p /empty/bin; printf '#!/bin/sh\\necho mine' > /empty/bin/ls;chmod +x /empty/bin/ls"
    )

    assert client.run("ls", env={"PATH": "/nowhere:/empty/bin:/bin"}).stdout == "mine\n"


def test_it_runs_as_root_in_the_containers_root_and_working_directory(
    client: Client, container: Container
) -> None:
    ran = client.sh("id -u; id -g; pwd; echo here > /empty/marker")

    assert ran.stdout == "0\n0\n/work\n"
    assert (container.root / "empty/marker").read_text() == "here\n"


def test_its_environment_is_the_containers_with_the_requests_and_without_the_marker(
    client: Client,
) -> None:
    ran = client.run("env", env={"COLOUR": "blue=green", "EMPTY": ""})
    lines = set(ran.stdout.splitlines())

    assert {"COLOUR=blue=green", "EMPTY="} < lines
    assert not any(line.startswith("ISOLA_") for line in lines)
    assert any(line.startswith("PATH=") for line in lines)


def test_it_inherits_no_descriptor_but_its_three_streams(client: Client) -> None:
    # The fourth is the directory that ls itself reads.
    assert client.run("ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3"]


def test_it_starts_with_default_signals_and_its_own_session(client: Client) -> None:
    ran = client.sh("grep -E 'Sig(Blk|Ign)' /proc/self/status; ps -o sid= -p $$; echo $$")
    blocked, ignored, session, pid = (line.split()[-1] for line in ran.stdout.splitlines())

    assert int(blocked, 16) == 0
    # 32 and 33 are the C library's own, and not to be changed.
    assert int(ignored, 16) & 0x7FFF_FFFF == 0
    assert session == pid


def test_it_may_not_trace_other_processes(client: Client) -> None:
    ran = client.sh("grep -E 'Cap(Eff|Prm|Bnd|Inh|Amb)' /proc/self/status")
    sys_ptrace = 1 << 19

    assert [int(line.split()[1], 16) & sys_ptrace for line in ran.stdout.splitlines()] == [0] * 5


def test_cwd_is_taken_in_the_containers_root(client: Client) -> None:
    client.sh("mkdir -p /srv/deep; ln -sfn /srv /empty/absolute; ln -sfn ../../../.. /empty/up")

    assert client.run("pwd", cwd="/srv/deep").stdout == "/srv/deep\n"
    assert client.run("/bin/pwd", cwd="/empty/absolute/deep").stdout == "/srv/deep\n"
    assert client.run("/bin/pwd", cwd="/empty/up/srv").stdout == "/srv\n"


@pytest.mark.parametrize("cwd", ["/no/such", "/etc/passwd", "/proc/1/root", "/proc/self/cwd"])
def test_a_cwd_that_is_no_directory_of_the_container_is_refused(client: Client, cwd: str) -> None:
    answer = client.post_command("true", cwd=cwd)

    assert answer.status == 400
    assert cwd in answer.detail


def test_a_timeout_kills_and_says_so(client: Client) -> None:
    begun = time.monotonic()
    ran = client.run("sleep", "60", timeoutSeconds=1)

    assert ran.status == {"exitCode": -1, "cause": "TimedOut", "signal": "SIGKILL"}
    assert 0.9 < time.monotonic() - begun < 5


def test_a_command_within_its_timeout_is_left_alone(client: Client) -> None:
    assert client.run("true", timeoutSeconds=2**63 - 1).exit_code == 0


def test_a_long_poll_wakes_at_the_end_and_not_before(client: Client) -> None:
    command = client.start("sh", "-c", "read line")
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(client.wait, command, 20)
        time.sleep(0.3)
        assert not polling.done()
        client.stdin(command, b"\n")
        begun = time.monotonic()
        assert polling.result()["exitCode"] == 0

    assert time.monotonic() - begun < 5


def test_a_long_poll_over_its_time_tells_that_it_still_runs(client: Client) -> None:
    command = client.start("sleep", "60")
    begun = time.monotonic()

    assert client.wait(command, 1) == {"exitCode": None}
    assert 0.9 < time.monotonic() - begun < 5
    assert client.wait(command, 0) == {"exitCode": None}
    client.kill(command)


def test_clients_that_leave_do_not_touch_the_command(client: Client) -> None:
    command = client.start("sh", "-c", "echo begun; read line; echo got $line")
    for path in ("status?waitSeconds=20", "stdout"):
        connection = client.connect()
        connection.request("GET", f"/v1/commands/{command}/{path}")
        connection.close()
    client.stdin(command, b"it\n")

    assert client.wait(command)["exitCode"] == 0
    assert "got it" in client.stream(command).body.decode()


def test_a_background_child_does_not_delay_the_end(client: Client) -> None:
    begun = time.monotonic()
    ran = client.sh("sleep 60 & echo done")

    assert (ran.exit_code, ran.stdout) == (0, "done\n")
    assert time.monotonic() - begun < 5
    client.kill(ran.id)


def test_a_background_child_survives_writing_more_than_a_pipe_holds(
    client: Client, container: Container
) -> None:
    marker: Path = container.root / "empty/survived"
    client.sh("(head -c 3000000 /dev/zero; touch /empty/survived) & exit 0")

    eventually(marker.exists)


def test_orphans_become_the_launchers_children_and_are_reaped(client: Client, pod: Pod) -> None:
    ran = client.sh("sleep 0.3 & echo $!")
    orphan = int(ran.stdout)
    (launcher,) = Path(f"/proc/{pod.sidecar}/task/{pod.sidecar}/children").read_text().split()

    assert int(client.sh(f"ps -o ppid= -p {orphan}").stdout) == pid_inside(int(launcher))
    eventually(lambda: client.sh(f"ps -p {orphan}").exit_code == 1)


def test_many_commands_at_once_all_end(client: Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        running = [pool.submit(client.sh, f"exit {code}") for code in range(48)]

    assert [each.result().exit_code for each in running] == list(range(48))


def test_the_list_names_every_command(client: Client) -> None:
    ran = client.run("true")
    listed = {each["id"]: each for each in client.call("GET", "/v1/commands").json["commands"]}

    assert listed[ran.id] == {
        "id": ran.id,
        "container": "main",
        "args": ["true"],
        "exitCode": 0,
        "cause": "Exited",
    }


@pytest.mark.parametrize(
    ("body", "location"),
    [
        pytest.param({}, "body.args", id="no args"),
        pytest.param({"args": []}, "body.args", id="empty args"),
        pytest.param({"args": ["a", 1]}, "body.args[1]", id="a number among args"),
        pytest.param({"args": ["a\0b"]}, "body.args[0]", id="a zero byte"),
        pytest.param({"args": ["\ud800"]}, "body.args[0]", id="half a surrogate pair"),
        pytest.param({"args": [""]}, "body.args[0]", id="no program"),
        pytest.param({"args": ["a"], "nope": 1}, "body.nope", id="unknown field"),
        pytest.param({"args": ["a"], "env": {"A": 1}}, "body.env.A", id="env value no string"),
        pytest.param({"args": ["a"], "env": {"A=B": ""}}, "body.env", id="env name with ="),
        pytest.param({"args": ["a"], "env": []}, "body.env", id="env no object"),
        pytest.param({"args": ["a"], "cwd": 1}, "body.cwd", id="cwd no string"),
        pytest.param({"args": ["a"], "$schema": {}}, "body.$schema", id="schema no string"),
        pytest.param({"args": ["a"], "timeoutSeconds": 0}, "body.timeoutSeconds", id="no time"),
        pytest.param({"args": ["a"], "timeoutSeconds": 1.5}, "body.timeoutSeconds", id="float"),
        pytest.param({"args": ["a"], "timeoutSeconds": True}, "body.timeoutSeconds", id="bool"),
        pytest.param([], "body", id="no object"),
    ],
)
def test_a_body_that_breaks_the_schema_is_refused_with_its_place(
    client: Client, body: object, location: str
) -> None:
    answer = client.call("POST", "/v1/commands", json.dumps(body))

    assert answer.status == 422
    assert location in answer.detail
    assert [error["location"] for error in answer.json["errors"]] == [location]


def test_optional_fields_may_be_null_and_a_schema_link_is_tolerated(client: Client) -> None:
    fields = {"env": None, "cwd": None, "timeoutSeconds": None, "$schema": "x"}

    assert client.run("true", **fields).exit_code == 0


def test_a_whole_number_may_be_written_with_a_fraction_of_zero(client: Client) -> None:
    ran = client.run("stty", "size", timeoutSeconds=30.0, terminal={"rows": 7.0, "columns": 80})

    assert ran.stdout.split() == ["7", "80"]


def test_every_violation_is_listed(client: Client) -> None:
    answer = client.call("POST", "/v1/commands", json.dumps({"cwd": 1, "x": 2}))

    assert [error["location"] for error in answer.json["errors"]] == [
        "body.x",
        "body.args",
        "body.cwd",
    ]


def test_a_problem_is_short_whatever_was_sent(client: Client) -> None:
    """The gateway reads no more than 4096 bytes of it."""
    body = {"args": [1] * 1000, "env": {"é" * 5000: "\0" * 5000}, "x" * 5000: ["y" * 5000]}
    answer = client.call("POST", "/v1/commands", json.dumps(body))

    assert answer.status == 422
    assert answer.detail
    assert len(answer.body) <= 4096
    assert len(client.call("GET", "/v1/filesystem?path=/" + "%01" * 4000).body) <= 4096


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param("00000000-0000-4000-8000-000000000000", 404, id="unknown"),
        pytest.param("nonsense", 422, id="not an id"),
        pytest.param("00000000-0000-4000-8000-00000000000A", 422, id="upper case"),
    ],
)
@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("GET", "/status"),
        ("GET", "/stdout"),
        ("GET", "/stderr"),
        ("POST", "/stdin"),
        ("POST", "/stdin/close"),
        ("DELETE", ""),
    ],
)
def test_an_id_without_a_command_is_refused(
    client: Client, method: str, tail: str, command: str, status: int
) -> None:
    answer = client.call(method, f"/v1/commands/{command}{tail}")

    assert answer.status == status
    assert answer.detail


@pytest.mark.parametrize("seconds", ["-1", "31", "x", "1.5", ""])
def test_wait_seconds_out_of_range_is_refused(client: Client, seconds: str) -> None:
    command = client.run("true").id
    answer = client.call("GET", f"/v1/commands/{command}/status", waitSeconds=seconds)

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == "query.waitSeconds"
