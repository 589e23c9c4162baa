from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidecar.pods import Client, Container, Pod, eventually
from sidecar.viewers import Viewer

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = {"rows": 24, "columns": 80}
BARE = {"PS1": "$ ", "HISTFILE": ""}


def start(client: Client, *args: str, **fields: Any) -> str:
    return client.start(*args, terminal=SIZE, **fields)


def shell(client: Client) -> str:
    return start(client, "bash", "--norc", "--noprofile", "-i", env={**BARE, "TERM": "dumb"})


@pytest.fixture
def bash(client: Client) -> Iterator[Viewer]:
    command = shell(client)
    with Viewer(client, command) as viewer:
        viewer.sees(b"$ ")
        yield viewer
    client.kill(command)


def shown(client: Client, *args: str, **fields: Any) -> str:
    command = start(client, *args, **fields)
    client.wait(command)
    return whole(client, command).decode()


def whole(client: Client, command: str, offset: int = 0) -> bytes:
    headers = {"Accept": "application/octet-stream", "Last-Event-ID": str(offset)}
    return client.call("GET", f"/v1/commands/{command}/stdout", headers=headers).body


def test_all_three_streams_are_the_terminal_which_has_a_name_in_the_container(
    client: Client,
) -> None:
    script = "import os; print([os.isatty(n) for n in (0, 1, 2)], os.ttyname(0))"
    output = shown(client, "python3", "-c", script)

    assert re.fullmatch(r"\[True, True, True\] /dev/pts/\d+\r\n", output)


def test_the_terminal_controls_the_program_which_leads_its_session(client: Client) -> None:
    script = (
        "import os; tty = os.open('/dev/tty', os.O_RDWR);"
        "print(os.getsid(0) == os.getpid(), os.tcgetpgrp(tty) == os.getpgrp())"
    )

    assert shown(client, "python3", "-c", script) == "True True\r\n"


def test_it_has_the_size_that_was_asked_for(client: Client) -> None:
    command = client.start("stty", "size", terminal={"rows": 7, "columns": 1000})
    client.wait(command)

    assert whole(client, command) == b"7 1000\r\n"


def test_its_kind_is_told_unless_the_environment_says_otherwise(client: Client) -> None:
    script = ("sh", "-c", "echo $TERM")

    assert shown(client, *script) == "xterm-256color\r\n"
    assert shown(client, *script, env={"TERM": "dumb"}) == "dumb\r\n"


def test_stderr_is_empty_and_ends(client: Client) -> None:
    command = start(client, "sh", "-c", "echo out; echo err >&2")

    assert client.wait(command)["exitCode"] == 0
    assert client.stream(command, "stderr").body == b""
    assert whole(client, command) == b"out\r\nerr\r\n"


@pytest.mark.parametrize(
    ("args", "code"),
    [(("false",), 1), (("no-such-program",), 127), (("/etc/passwd",), 126)],
)
def test_it_ends_as_any_command_does(client: Client, args: tuple[str, ...], code: int) -> None:
    command = start(client, *args)

    assert client.wait(command) == {"exitCode": code, "cause": "Exited"}
    if code > 1:
        assert f"isola: {args[0]}: not" in whole(client, command).decode()


def test_output_of_an_end_in_a_hurry_is_whole(client: Client) -> None:
    for _ in range(5):
        assert shown(client, "seq", "20000").count("\r\n") == 20000


def begin_job(bash: Viewer) -> None:
    """Let the shell run a job that says when it has begun: what is typed before is the shell's."""
    bash.type(b"sh -c 'echo be\"\"gun; exec sleep 100'\n")
    bash.sees(b"begun")


def test_a_shell_interrupts_its_job_at_ctrl_c_and_lives_on(bash: Viewer) -> None:
    begin_job(bash)
    bash.type(b"\x03")
    bash.sees(b"^C")
    bash.type(b"echo code=$?\n")

    bash.sees(b"code=130")


def test_a_shell_controls_its_jobs(bash: Viewer) -> None:
    begin_job(bash)
    bash.type(b"\x1a")
    bash.sees(b"Stopped")
    bash.type(b"bg; jobs; kill %1; wait; echo over\n")

    bash.sees(b"Running")
    bash.sees(b"\r\nover")


def test_a_new_size_is_told_to_the_program_that_runs(client: Client) -> None:
    script = (
        "import os, signal, time;"
        "signal.signal(28, lambda *_: print('now', *os.get_terminal_size()));"
        "print('ready')\nwhile True: time.sleep(0.05)"
    )
    command = start(client, "python3", "-uc", script)
    with Viewer(client, command) as viewer:
        viewer.sees(b"ready")
        viewer.resize(50, 132)
        viewer.sees(b"now 132 50")
    client.kill(command)


def test_a_new_size_is_told_to_all_of_the_session(client: Client) -> None:
    # Linux itself tells the foreground group only, and gVisor nobody: this is the launcher's work.
    script = (
        "import signal, time;"
        "signal.signal(28, lambda *_: print('told', flush=True));"
        "print('re' + 'ady', flush=True)\nwhile True: time.sleep(0.05)"
    )
    command = start(client, "bash", "-mc", 'python3 -c "$1" & wait', "bash", script)
    with Viewer(client, command) as viewer:
        viewer.sees(b"ready")
        viewer.resize(50, 132)
        viewer.sees(b"told")
    client.kill(command)


def test_stdin_by_post_is_typed_and_its_close_is_ctrl_d(client: Client) -> None:
    command = start(client, "cat")
    assert client.stdin(command, b"line\n").status == 204
    with Viewer(client, command) as viewer:
        viewer.sees(b"line\r\nline\r\n")
        assert client.close_stdin(command).status == 204
        assert viewer.to_end() == {"exitCode": 0, "cause": "Exited"}

    assert viewer.closed == (1000, "the command has ended")
    assert client.close_stdin(command).status == 409


def test_the_first_text_says_the_offset_and_the_last_how_it_ended(client: Client) -> None:
    command = start(client, "sh", "-c", "printf 0123456789; kill -TERM $$")
    client.wait(command)
    with Viewer(client, command, 4) as viewer:
        ended = viewer.to_end()

    assert viewer.texts[0] == {"offset": 4}
    assert viewer.output == b"456789"
    assert ended == {"exitCode": -1, "cause": "Signalled", "signal": "SIGTERM"}


def test_an_offset_past_the_output_begins_at_its_end(client: Client) -> None:
    command = start(client, "echo", "x")
    client.wait(command)
    with Viewer(client, command, 1000) as viewer:
        viewer.to_end()

    assert (viewer.texts[0], viewer.output) == ({"offset": 3}, b"")


def test_a_viewer_that_comes_again_misses_nothing(client: Client) -> None:
    script = "for i in $(seq 1 400); do echo line $i; sleep 0.005; done"
    command = start(client, "sh", "-c", script)
    got = b""
    while b"line 400\r\n" not in got:
        with Viewer(client, command, len(got)) as viewer:
            assert viewer.texts == [] or viewer.texts[0] == {"offset": len(got)}
            viewer.until(lambda: len(viewer.output) > 500 or viewer.closed)
            got += viewer.output

    assert got == whole(client, command)
    assert got.count(b"line") == 400


def test_several_viewers_see_the_same_and_may_all_type(client: Client) -> None:
    command = start(client, "cat")
    with Viewer(client, command) as one, Viewer(client, command) as other:
        one.type(b"from one\n")
        other.type(b"from other\n")
        for viewer in (one, other):
            viewer.until(lambda: viewer.output.count(b"from") == 4)  # noqa: B023
        one.leave()
        assert one.closed == (1000, "")
        other.type(b"still\n")
        other.sees(b"still\r\nstill")
    client.kill(command)


def test_a_viewer_that_reads_nothing_holds_up_nobody(client: Client) -> None:
    command = start(client, "sh", "-c", "head -c 8000000 /dev/zero | tr '\\0' x; echo; echo done")
    with Viewer(client, command), Viewer(client, command) as reader:
        ended = reader.to_end(30)

    assert ended["exitCode"] == 0
    assert reader.output.endswith(b"x\r\ndone\r\n")
    assert len(reader.output) == 8_000_000 + len(b"\r\ndone\r\n")


def test_kill_ends_all_of_the_session_whatever_it_ignores(client: Client, pod: Pod) -> None:
    script = (
        "trap '' HUP TERM INT; setsid sh -c 'trap \"\" HUP; sleep 7351' & sleep 7352 & sleep 7353"
    )
    command = start(client, "sh", "-c", script)
    eventually(lambda: all(pod.has_process(b"735%d" % last) for last in (1, 2, 3)))
    with Viewer(client, command) as viewer:
        client.kill(command)
        ended = viewer.to_end()

    assert ended == {"exitCode": -1, "cause": "Signalled", "signal": "SIGKILL"}
    eventually(lambda: not any(pod.has_process(b"735%d" % last) for last in (1, 2, 3)))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("{", 1007, id="not JSON"),
        pytest.param('{"rows": 0, "columns": 80}', 1008, id="no rows"),
        pytest.param('{"rows": 24, "columns": 1001}', 1008, id="too many columns"),
        pytest.param('{"rows": 24}', 1008, id="a field missing"),
        pytest.param('{"rows": true, "columns": 80}', 1008, id="not a number"),
        pytest.param("[" * 200, 1007, id="deep"),
        pytest.param(" " * 100_000, 1008, id="long"),
    ],
)
def test_a_bad_text_frame_closes_with_a_reason(client: Client, text: str, code: int) -> None:
    command = start(client, "sleep", "60")
    with Viewer(client, command) as viewer:
        viewer.say(text)
        viewer.to_end()

    assert viewer.closed
    assert viewer.closed[0] == code
    assert viewer.closed[1]
    client.kill(command)


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        pytest.param(b"\x81\x82abcd" + bytes([0xFF ^ 97, 0xFF ^ 98]), 1007, id="not UTF-8"),
        pytest.param(b"\x82\x02xx", 1002, id="not masked"),
        pytest.param(b"\xf2\x80abcd", 1002, id="reserved bits"),
    ],
)
def test_what_is_no_frame_closes_with_its_code(client: Client, octets: bytes, code: int) -> None:
    command = start(client, "sleep", "60")
    with Viewer(client, command) as viewer:
        viewer.send_raw(octets)
        viewer.to_end()

    assert viewer.closed
    assert viewer.closed[0] == code
    client.kill(command)


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({"Upgrade": "h2c"}, 426, id="another protocol"),
        pytest.param({"Connection": "keep-alive"}, 426, id="not for this connection"),
        pytest.param({"Sec-WebSocket-Version": "8"}, 426, id="another version"),
        pytest.param({"Sec-WebSocket-Key": "short"}, 400, id="no key"),
        pytest.param({"Content-Length": "5"}, 400, id="a body"),
    ],
)
def test_a_request_that_opens_no_websocket_says_what_is_missing(
    client: Client, changed: dict[str, str], status: int
) -> None:
    command = start(client, "true")
    path = f"/v1/commands/{command}/terminal"
    answer = client.call("GET", path, headers={**UPGRADE, **changed})

    assert answer.status == status
    assert answer.detail
    if status == 426:
        assert answer.headers["Upgrade"] == "websocket"
        assert client.call("GET", path).status == 426


def test_only_a_command_with_a_terminal_has_one(client: Client) -> None:
    plain = client.start("true")
    unknown = "00000000-0000-4000-8000-000000000000"

    assert [
        client.call("GET", f"/v1/commands/{each}/terminal", headers=UPGRADE).status
        for each in (plain, unknown, "nonsense")
    ] == [409, 404, 422]
    with Viewer(client, plain) as viewer:
        assert viewer.refused == 409
    answer = client.call("GET", f"/v1/commands/{plain}/terminal", headers=UPGRADE, offset="x")
    assert answer.status == 409
    command = start(client, "true")
    path = f"/v1/commands/{command}/terminal"
    assert client.call("GET", path, headers=UPGRADE, offset="x").status == 422


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"rows": 24},
        {"rows": 0, "columns": 80},
        {"rows": 24, "columns": 1001},
        {"rows": 24, "columns": 80, "x": 1},
        {"rows": "24", "columns": 80},
        True,
        [24, 80],
    ],
)
def test_a_size_that_is_none_is_refused(client: Client, bad: Any) -> None:
    answer = client.call("POST", "/v1/commands", json.dumps({"args": ["true"], "terminal": bad}))

    assert answer.status == 422
    assert answer.json["errors"][0]["location"] == "body.terminal"


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param("umount -l /dev; rm -rf /dev; mkdir /dev", id="nothing"),
        pytest.param("umount -l /dev; rm -rf /dev/*; mkfifo /dev/ptmx", id="a FIFO"),
        pytest.param("umount -l /dev; rm -rf /dev/*; mknod /dev/ptmx c 1 5", id="another device"),
    ],
)
def test_a_container_without_terminals_says_so_whatever_lies_there(
    tmp_path: Path, prepare: str
) -> None:
    with Pod(tmp_path) as pod:
        pod.add("bare", prepare=prepare)
        answer = pod.start_sidecar().post_command("true", terminal=SIZE)

    assert answer.status == 409
    assert "/dev/ptmx" in answer.detail


def test_terminals_that_have_ended_give_back_their_descriptors(client: Client, pod: Pod) -> None:
    def open_files() -> int:
        return len(list(Path(f"/proc/{pod.sidecar}/fd").iterdir()))

    shown(client, "true")
    before = open_files()
    for _ in range(20):
        command = start(client, "echo", "x")
        with Viewer(client, command) as viewer:
            viewer.to_end()

    # The file of its output is kept, as of any command that ended.
    eventually(lambda: open_files() <= before + 20)


def test_the_users_of_a_terminal_see_it_in_ps(client: Client, container: Container) -> None:
    assert container
    output = shown(client, "sh", "-c", "ps -o tty= -p $$; tty")

    first, second = output.split()
    assert second == f"/dev/{first}"
