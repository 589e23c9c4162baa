"""The published client, unchanged, on a real sandbox; and what gVisor and the node hold it to."""

from __future__ import annotations

import time
from itertools import pairwise

import httpx
import isola
import pytest

from support.cluster import Cluster


def test_it_really_runs_under_gvisor(sandbox: isola.Sandbox) -> None:
    assert "gVisor" in sandbox.commands.run("dmesg").stdout


def test_a_command_has_output_errors_and_an_exit_code(sandbox: isola.Sandbox) -> None:
    result = sandbox.commands.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)


def test_a_program_that_is_not_there_and_one_that_cannot_run(sandbox: isola.Sandbox) -> None:
    assert sandbox.commands.run("no-such-program").exit_code == 127
    assert sandbox.commands.run("/etc/passwd").exit_code == 126


def test_output_streams_in_as_it_is_written(sandbox: isola.Sandbox) -> None:
    command = sandbox.commands.spawn(
        "sh", "-c", "for i in 1 2 3; do echo $i; sleep 1; done", timeout_seconds=30
    )
    arrivals = [(chunk.strip(), time.monotonic()) for chunk in command.stdout]
    assert [text for text, _ in arrivals] == ["1", "2", "3"]
    gaps = [later[1] - earlier[1] for earlier, later in pairwise(arrivals)]
    assert all(gap > 0.5 for gap in gaps)
    assert command.wait() == 0


def test_output_is_replayed_whole_and_resumed_by_offset(
    sandbox: isola.Sandbox, http: httpx.Client
) -> None:
    command = sandbox.commands.spawn("seq", "1", "20000")
    command.wait()
    text = command.stdout.read()
    assert text == "".join(f"{i}\n" for i in range(1, 20001))
    url = f"/sandboxes/{sandbox.id}/commands/{command.id}/stdout"
    rest = http.get(url, headers={"Last-Event-ID": str(len(text) - 12)}).text
    assert "19999" in rest
    assert "19998" not in rest
    assert f"id: {len(text)}" in rest


def test_stdin_is_fed_and_closed(sandbox: isola.Sandbox) -> None:
    command = sandbox.commands.spawn("cat")
    for piece in ("one ", "two ", "three"):
        command.write_stdin(piece)
    command.close_stdin()
    assert command.wait() == 0
    assert command.stdout.read() == "one two three"
    with pytest.raises(isola.ConflictError):
        command.write_stdin("late")


def test_environment_and_working_directory(sandbox: isola.Sandbox) -> None:
    result = sandbox.commands.run("sh", "-c", "echo $A; pwd", env={"A": "b"}, cwd="/usr/lib")
    assert result.stdout == "b\n/usr/lib\n"
    with pytest.raises(isola.BadRequestError):
        sandbox.commands.run("true", cwd="/no/such/directory")


def test_a_kill_takes_every_descendant_along(sandbox: isola.Sandbox) -> None:
    script = "setsid sh -c 'sleep 1234 & sleep 1234' & (sleep 1234 &) ; sleep 1234"
    command = sandbox.commands.spawn("sh", "-c", script)
    count = ("sh", "-c", "ps -eo args | grep -c '^sleep 1234$'")
    deadline = time.monotonic() + 10
    while sandbox.commands.run(*count).stdout.strip() != "4" and time.monotonic() < deadline:
        time.sleep(0.1)
    command.kill()
    assert command.wait() == -1
    assert sandbox.commands.run(*count).stdout.strip() == "0"
    assert sandbox.commands.run("true").exit_code == 0


def test_a_time_out_kills(sandbox: isola.Sandbox) -> None:
    began = time.monotonic()
    assert sandbox.commands.run("sleep", "60", timeout_seconds=1).exit_code == -1
    assert time.monotonic() - began < 20


def test_files_go_in_and_come_out(sandbox: isola.Sandbox) -> None:
    content = bytes(range(256)) * 4096
    sandbox.filesystem.write("/work/deep/data.bin", content)
    assert sandbox.filesystem.read("/work/deep/data.bin") == content
    with pytest.raises(isola.NotFoundError):
        sandbox.filesystem.read("/work/nothing")


def test_output_counts_in_the_container_and_never_follows_a_link(sandbox: isola.Sandbox) -> None:
    """`/var/run` is a link in Debian; one that leads elsewhere must not lead the sidecar there."""
    sandbox.commands.run("sh", "-c", "rm -rf /run/isola; ln -s /etc /run/isola")
    assert sandbox.commands.run("echo", "still here").stdout == "still here\n"
    assert "still here" not in sandbox.commands.run("sh", "-c", "ls -R /etc/commands 2>&1").stdout


def test_an_image_without_a_shell(cluster: Cluster, client: isola.Isola) -> None:
    image = cluster.images["sandbox-noshell"]
    command = ["/busybox", "sleep", "600"]
    with client.sandboxes.create(image=image, command=command, timeout_seconds=600) as sandbox:
        assert sandbox.commands.run("/busybox", "echo", "no shell").stdout == "no shell\n"
        assert sandbox.commands.run("sh").exit_code == 127


def test_there_is_no_network_and_no_name_is_resolved(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    services = cluster.get("service", "kubernetes", namespace="default")
    api_server = services["spec"]["clusterIP"]
    program = """
import socket, time
for target in (("%s", 443), ("1.1.1.1", 53), ("169.254.169.254", 80)):
    try:
        socket.create_connection(target, timeout=3).close()
        print("open", target)
    except OSError:
        pass
began = time.monotonic()
try:
    socket.getaddrinfo("example.com", 80)
    print("resolved")
except OSError:
    pass
print("slow" if time.monotonic() - began > 5 else "done")
"""
    result = sandbox.commands.run("python3", "-c", program % api_server)
    assert result.stdout == "done\n", result.stderr


def test_one_sandbox_cannot_reach_another_s_sidecar(
    sandbox: isola.Sandbox, client: isola.Isola, cluster: Cluster
) -> None:
    with client.sandboxes.create(image=cluster.image, timeout_seconds=300) as other:
        address = next(e for e in cluster.log(other.id) if e["type"] == "Ready")["data"]["podIP"]
        program = f"import socket; socket.create_connection(({address!r}, 10032), timeout=3)"
        assert sandbox.commands.run("python3", "-c", program).exit_code == 1
        assert other.commands.run("true").exit_code == 0


def test_code_in_a_sandbox_cannot_command_its_own_sidecar(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    address = next(e for e in cluster.log(sandbox.id) if e["type"] == "Ready")["data"]["podIP"]
    program = """
import socket, sys
for source, target in (("", "127.0.0.1"), ("", sys.argv[1]), (sys.argv[1], "127.0.0.1"),
                       ("127.0.0.1", sys.argv[1]), ("", "::1"), ("", "127.0.0.2")):
    with socket.create_connection((target, 10032), 3, (source, 0) if source else None) as other:
        other.sendall(b"GET /v1/commands HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        print(other.recv(12).decode())
"""
    result = sandbox.commands.run("python3", "-c", program, address)
    assert result.stdout.splitlines() == ["HTTP/1.1 403"] * 6, result.stderr


def test_the_list_has_it_and_a_deleted_one_is_gone(client: isola.Isola, cluster: Cluster) -> None:
    sandbox = client.sandboxes.create(image=cluster.image, timeout_seconds=300)
    assert sandbox.id in {summary.id for summary in client.sandboxes.list()}
    sandbox.delete()
    sandbox.delete()
    deadline = time.monotonic() + 60
    while sandbox.id in {summary.id for summary in client.sandboxes.list()}:
        assert time.monotonic() < deadline
        time.sleep(0.2)


async def test_the_async_client_does_it_all(cluster: Cluster) -> None:
    async with (
        isola.AsyncIsola(url=cluster.url) as client,
        await client.sandboxes.create(image=cluster.image, timeout_seconds=300) as sandbox,
    ):
        result = await sandbox.commands.run("cat", input="async")
        assert (result.stdout, result.exit_code) == ("async", 0)
        command = await sandbox.commands.spawn("sh", "-c", "echo begun; sleep 60")
        async for chunk in command.stdout:
            assert chunk.strip() == "begun"
            break
        await command.kill()
        assert await command.wait() == -1
        await sandbox.filesystem.write("/data", b"bytes")
        assert await sandbox.filesystem.read("/data") == b"bytes"
