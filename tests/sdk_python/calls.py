"""What the published client can be asked, method by method: one table, for it and for ours.

Run as a program, with whichever `isola` is on the path: `python calls.py URL` prints what came of
each call as JSON. Nothing here knows which of the two it is.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import isola

IMAGE = "busybox"
SCRIPT = "echo out; echo err >&2; exit 3"


def shown(sandbox: Any) -> Any:
    """Return what a sandbox says of itself."""
    return {
        "status": sandbox.status,
        "network": sandbox.network and sandbox.network.model_dump(exclude_none=True),
        "timeout_seconds": sandbox.timeout_seconds,
        "startup_timeout_seconds": sandbox.startup_timeout_seconds,
        "containers": [each.model_dump(exclude_none=True) for each in sandbox.containers],
        "aware": sandbox.creation_timestamp.tzinfo is not None,
    }


def error(call: Callable[[], Any]) -> Any:
    """Return which error of the published client's a call ends with."""
    try:
        return ["nothing", repr(call())]
    except Exception as raised:  # noqa: BLE001 - whichever it is, it is told
        return told(raised)


async def error_of(call: Awaitable[Any]) -> Any:
    """Return the same of an asynchronous call."""
    try:
        return ["nothing", repr(await call)]
    except Exception as raised:  # noqa: BLE001 - likewise
        return told(raised)


NAMES = [each.__name__ for each in vars(isola).values() if isinstance(each, type)]
PUBLISHED = {
    "APIConnectionError", "APIError", "BadGatewayError", "BadRequestError", "ConflictError",
    "InternalError", "IsolaError", "IsolaTimeoutError", "NotFoundError", "ValidationError",
}  # fmt: skip


def told(raised: Exception) -> Any:
    kinds = [each.__name__ for each in type(raised).__mro__ if each.__name__ != "object"]
    kind = next((each for each in kinds if each in PUBLISHED), type(raised).__name__)
    return [kind, getattr(raised, "status_code", None)]


def creates(client: isola.Isola) -> Any:
    containers = [
        isola.Container(image=IMAGE, name="a", env={"A": "1"}),
        isola.Container(
            image=IMAGE,
            resources=isola.ResourceRequirements(limits=isola.ResourceList(memory="64Mi")),
        ),
    ]
    network = isola.Network(allowed_egress_cidrs=["8.8.8.0/24"], allow_ipv6_egress=False)
    found: list[Any] = []
    for arguments in (
        {"image": IMAGE},
        {"image": IMAGE, "cpu": 0.25, "memory": 64, "ephemeral_storage": 10, "env": {"A": "1"}},
        {"image": IMAGE, "command": ["sleep", "9"], "timeout_seconds": 500},
        {"containers": containers, "startup_timeout_seconds": 33},
        {"image": IMAGE, "network": network},
    ):
        with client.sandboxes.create(**arguments) as sandbox:  # pyright: ignore[reportArgumentType]
            found.append([shown(sandbox), shown(client.sandboxes.get(sandbox.id))])
    # This installation takes no snapshots.
    keeping = isola.SnapshotRootfs(snapshot_name="s", timeout_seconds=9)
    found.append(error(lambda: client.sandboxes.create(image=IMAGE, termination_policy=keeping)))
    pending = client.sandboxes.create(image=IMAGE, max_wait_seconds=0)
    pending.delete()
    return [found, pending.status]


def refuses(client: isola.Isola) -> Any:
    create = client.sandboxes.create
    return [
        error(create),
        error(lambda: create(image=IMAGE, containers=[isola.Container(image=IMAGE)])),
        error(lambda: create(containers=[isola.Container(image=IMAGE)], memory=1)),
        error(lambda: create(image="")),
        error(lambda: create(image=IMAGE, timeout_seconds=0)),
        error(lambda: create(containers=[isola.Container(image=IMAGE, name="A")])),
        error(lambda: client.sandboxes.get("none")),
        error(lambda: client.sandboxes.get("A B/c")),
        error(lambda: client.rootfs_snapshots.get("none")),
        error(lambda: client.rootfs_snapshots.create(sandbox_id="A")),
        error(lambda: isola.Isola(url=" ")),
        error(isola.Container),  # pyright: ignore[reportArgumentType]
    ]


def lists_and_deletes(client: isola.Isola) -> Any:
    sandbox = client.sandboxes.create(image=IMAGE)
    item = next(each for each in client.sandboxes.list() if each.id == sandbox.id)
    with sandbox as entered:
        same = entered is sandbox
        sandbox.delete()
        sandbox.delete()
        gone: Any = None
        for _ in range(600):
            gone = error(lambda: client.sandboxes.get(sandbox.id))
            if gone[0] != "nothing":
                break
            time.sleep(0.05)
    return [item.status, item.creation_timestamp.tzinfo is not None, same, gone]


def runs(client: isola.Isola) -> Any:
    with client.sandboxes.create(image=IMAGE) as sandbox:
        run = sandbox.commands.run
        results = [
            run("sh", "-c", SCRIPT),
            run("cat", input="fed é"),
            run("cat", input=b"fed\n"),
            run("cat", input=""),
            run("sh", "-c", "echo $A; pwd", env={"A": "x y"}, cwd="/usr"),
            run("sleep", "100", timeout_seconds=1),
            run("no-such-program"),
            run("printf", "a\\r\\nb\\rc\\377\\342\\202"),
            run("true", container="sandbox0"),
        ]
        texts = [[each.stdout, each.exit_code] for each in results]
        return [
            texts,
            results[0].stderr,
            error(run),
            error(lambda: run("true", cwd="/none")),
            error(lambda: run("true", container="none")),
            error(lambda: run("true", container="A")),
            error(lambda: run("true", timeout_seconds=0)),
        ]


def spawns(client: isola.Isola) -> Any:
    with client.sandboxes.create(image=IMAGE) as sandbox:
        command = sandbox.commands.spawn("sh", "-c", "while read l; do echo got $l; done; exit 4")
        before = command.exit_code()
        output = iter(command.stdout)
        echoed: list[str] = []
        for word in ("one\n", b"two\n"):
            command.write_stdin(word)
            echoed.append(next(output))
        command.close_stdin()
        code, rest = command.wait(), list(output)
        endless = sandbox.commands.spawn("sleep", "1000")
        endless.kill()
        return [
            before, echoed, code, rest, command.exit_code(), command.stderr.read(),
            error(lambda: list(command.stdout)),
            error(lambda: command.write_stdin("late")),
            error(command.close_stdin),
            command.kill(), endless.wait(), command.stdout is command.stdout,
        ]  # fmt: skip


def moves_files(client: isola.Isola) -> Any:
    with client.sandboxes.create(image=IMAGE) as sandbox:
        files = sandbox.filesystem
        found: list[Any] = []
        for data in ("tëxt", b"\x00\xff\r\n", b"", b"x" * 300_000, io.BytesIO(b"in a file")):
            files.write("/tmp/a dir/é+&", data)
            found.append(files.read("/tmp/a dir/é+&").hex()[:100])
        files.write("relative", "r", container="sandbox0")
        return [
            found,
            files.read("relative", container="sandbox0").decode(),
            error(lambda: files.read("/tmp/none")),
            error(lambda: files.read("/tmp")),
            error(lambda: files.read("")),
            error(lambda: files.write("/tmp/x", "", container="none")),
        ]


def snapshots(client: isola.Isola) -> Any:
    with client.sandboxes.create(image=IMAGE) as sandbox:
        made = client.rootfs_snapshots.create(
            sandbox_id=sandbox.id, snapshot_name=f"s-{sandbox.id}", timeout_seconds=100,
            ttl_seconds_after_finished=50, container_name="sandbox0", max_wait_seconds=0,
        )  # fmt: skip
        again = client.rootfs_snapshots.get(made.id)
        return [
            [
                each.snapshot_name == f"s-{sandbox.id}", each.sandbox_id == sandbox.id,
                each.timeout_seconds, each.ttl_seconds_after_finished, each.container_name,
                each.creation_timestamp.tzinfo is not None, type(each.status).__name__,
            ]
            for each in (made, again)
        ] + [error(lambda: client.rootfs_snapshots.create(sandbox_id="nobody"))]  # fmt: skip


async def asynchronously(client: isola.AsyncIsola) -> Any:
    sandbox = await client.sandboxes.create(image=IMAGE)
    async with sandbox as entered:
        ran = await sandbox.commands.run("sh", "-c", SCRIPT)
        fed = await sandbox.commands.run("cat", input="fed")
        command = await sandbox.commands.spawn("sh", "-c", "read l; echo got $l; cat")
        output = aiter(command.stdout)
        await command.write_stdin("one\n")
        first = await anext(output)
        await command.close_stdin()
        rest = [text async for text in output]
        await sandbox.filesystem.write("/tmp/f", b"\x00\xff")
        endless = await sandbox.commands.spawn("sleep", "1000")
        running = await endless.exit_code()
        await endless.kill()
        listed = [each.id for each in await client.sandboxes.list()]
        return [
            entered is sandbox, ran.stdout, ran.stderr, ran.exit_code, fed.stdout, first, rest,
            await command.wait(), await command.stderr.read(), running, await endless.wait(),
            (await sandbox.filesystem.read("/tmp/f")).hex(), sandbox.id in listed,
            (await client.sandboxes.get(sandbox.id)).status,
            await error_of(sandbox.filesystem.read("/tmp/none")),
            await error_of(command.write_stdin("late")),
            await error_of(sandbox.commands.run("true", cwd="/none")),
            await error_of(client.sandboxes.get("none")),
            await error_of(client.rootfs_snapshots.get("none")),
        ]  # fmt: skip


TABLE = (creates, refuses, lists_and_deletes, runs, spawns, moves_files, snapshots)


async def _asynchronous(url: str) -> Any:
    async with isola.AsyncIsola(url=url) as client:
        return await asynchronously(client)


def main() -> None:
    url = sys.argv[1]
    results: dict[str, Any] = {"isola": isola.__file__, "version": bool(isola.__version__)}
    with isola.Isola(url=url) as client:
        for call in TABLE:
            results[call.__name__] = call(client)
    results["asynchronously"] = asyncio.run(_asynchronous(url))
    json.dump(results, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
