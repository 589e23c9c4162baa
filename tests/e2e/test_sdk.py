"""Our own Python client, where it takes real gVisor, real object storage and real policies."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
from collections.abc import Iterator

import pytest

import isola_sdk as isola
from support.cluster import Cluster, fresh, until

pytestmark = pytest.mark.timeout(600)

PATIENT = 300  # seconds to start, on a machine that is busy
LOOK_UP = """
import socket
try:
    print("is", socket.gethostbyname({!r}))
except socket.gaierror:
    print("no such name")
"""


@pytest.fixture
def client(cluster: Cluster) -> Iterator[isola.Isola]:
    with isola.Isola(url=cluster.url) as client:
        yield client


@pytest.fixture
def sandbox(client: isola.Isola, cluster: Cluster) -> Iterator[isola.Sandbox]:
    with _created(client, cluster) as sandbox:
        yield sandbox


def _created(client: isola.Isola, cluster: Cluster, **more: str) -> isola.Sandbox:
    return client.sandboxes.create(
        image=cluster.image,
        timeout_seconds=900,
        startup_timeout_seconds=PATIENT,
        max_wait_seconds=PATIENT,
        rootfs_snapshot_name=more.get("snapshot"),
    )


def test_an_agent_writes_runs_mends_keeps_and_goes_on(
    client: isola.Isola, cluster: Cluster
) -> None:
    name = fresh("solved")
    with _created(client, cluster) as sandbox:
        sandbox.filesystem.write("/root/task.py", "print(6 *)")
        broken = sandbox.commands.run("python3", "/root/task.py")
        assert broken.exit_code == 1
        assert "SyntaxError" in broken.stderr
        sandbox.filesystem.write("/root/task.py", "print(6 * 7)")
        assert sandbox.commands.run("python3", "/root/task.py").stdout == "42\n"
        kept = client.rootfs_snapshots.create(
            sandbox_id=sandbox.id,
            snapshot_name=name,
            ttl_seconds_after_finished=1,
            labels={"of": name},
        )

    def known() -> list[str]:
        return [each.id for each in client.rootfs_snapshots.list(labels={"of": name})]

    # From here on the bucket alone has it.
    until(lambda: not known(), seconds=60, what="the snapshot has had its time")
    assert kept.history().deleted
    again = client.rootfs_snapshots.adopt(
        name, ttl_seconds_after_finished=3600, labels={"of": name}
    )
    assert known() == [again.id]
    assert again.sandbox_id == sandbox.id
    with _created(client, cluster, snapshot=name) as sandbox:
        assert sandbox.commands.run("python3", "/root/task.py").stdout == "42\n"
    again.delete()


def test_a_file_of_64_mib_comes_back_as_it_went(sandbox: isola.Sandbox) -> None:
    content = random.Random(8).randbytes(64 << 20)
    sent: list[int] = []
    sandbox.filesystem.write(
        "/root/blob", io.BytesIO(content), on_progress=lambda done, _: sent.append(done)
    )
    inside = sandbox.commands.run("sha256sum", "/root/blob").stdout.split()[0]
    assert inside == hashlib.sha256(content).hexdigest()
    sandbox.filesystem.download("/root/blob", back := io.BytesIO())
    assert back.getvalue() == content
    assert sent == sorted(sent)
    assert sent[-1] == len(content)
    assert len(sent) > 8  # in pieces


def test_output_of_many_commands_at_once_is_whole(cluster: Cluster) -> None:
    async def one(sandbox: isola.AsyncSandbox, number: int) -> bool:
        script = f"seq {number} {number + 20_000}; exit {number}"
        command = await sandbox.commands.spawn("sh", "-c", script)
        text = await command.stdout.read()
        expected = "".join(f"{each}\n" for each in range(number, number + 20_001))
        return text == expected and await command.wait() == number

    async def all_of_them() -> None:
        async with (
            isola.AsyncIsola(url=cluster.url) as client,
            await client.sandboxes.create(
                image=cluster.image, timeout_seconds=900, max_wait_seconds=PATIENT
            ) as sandbox,
        ):
            assert all(await asyncio.gather(*(one(sandbox, number) for number in range(20))))

    asyncio.run(all_of_them())


def test_a_shell_in_a_terminal(sandbox: isola.Sandbox) -> None:
    size = isola.TerminalSize(rows=33, columns=101)
    with sandbox.commands.spawn("sh", terminal=size).terminal() as terminal:
        terminal.write("stty size; exit\n")
        assert b"33 101" in b"".join(terminal)


def test_a_name_is_allowed_while_it_lives_and_refusals_tell_which(
    client: isola.Isola, cluster: Cluster
) -> None:
    nothing_yet = isola.Network(allowed_egress_domains=[])
    with client.sandboxes.create(
        image=cluster.image, timeout_seconds=900, network=nothing_yet, max_wait_seconds=PATIENT
    ) as sandbox:

        def looked_up() -> str:
            return sandbox.commands.run("python3", "-c", LOOK_UP.format("sdk.test")).stdout

        assert looked_up() == "no such name\n"
        told = until(
            lambda: sandbox.network_refusals().refusals, seconds=30, what="what was refused"
        )
        assert ("NameNotAllowed", "sdk.test") in {(each.reason, each.name) for each in told}
        sandbox.set_network(isola.Network(allowed_egress_domains=["sdk.test"]))
        assert looked_up().startswith("is ")
        assert "NetworkEnforced" in {entry.type for entry in sandbox.history().entries}


def test_one_that_cannot_start_says_why_in_the_error(client: isola.Isola) -> None:
    with pytest.raises(isola.SandboxFailedError) as failed:
        client.sandboxes.create(
            image="127.0.0.1:1/nothing:here",  # refused at once, and told of after 10 s
            startup_timeout_seconds=30,
            max_wait_seconds=PATIENT,
        )
    assert failed.value.reason == "ImagePullFailed"
    assert failed.value.request_id
    client.sandboxes.delete(failed.value.sandbox_id)


def test_its_history_is_followed_to_the_end_and_verified_after_it(
    client: isola.Isola, cluster: Cluster
) -> None:
    with _created(client, cluster) as sandbox:
        entries = client.sandboxes.follow(sandbox.id)
        first = next(entries)
    assert first.type == "Accepted"
    rest = list(entries)
    assert rest[-1].type == "Terminated"
    history = client.sandboxes.history(sandbox.id)
    assert [entry.sequence for entry in history.entries] == list(range(1, len(rest) + 2))
    assert history.verify()
