from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isola_sidecar import limits
from isola_sidecar.peers import is_own
from sidecar.pods import DATAPLANE, Client, Pod, eventually
from sidecar.viewers import Viewer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


def own_addresses() -> list[str]:
    """Return loopback addresses, and those of this machine that it can be reached by."""
    found = {"127.0.0.1", "127.1.2.3", "::1"}
    for family, somewhere in ((socket.AF_INET, "192.0.2.77"), (socket.AF_INET6, "2001:db8::77")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((somewhere, 9))
            except OSError:
                continue
            found.add(probe.getsockname()[0])
    return sorted(found)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A sidecar as pods have it, and a container for it."""
    with Pod(tmp_path_factory.mktemp("strict")) as pod:
        pod.add("main")
        yield pod.start_sidecar("as-in-pods")


@pytest.mark.parametrize("address", own_addresses())
def test_who_comes_from_an_address_of_the_pod_is_refused(strict: Client, address: str) -> None:
    body = json.dumps({"args": ["true"]}).encode()
    head = f"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address, strict.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        received = connection.recv(65536)

    assert received.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    document = json.loads(received.partition(b"\r\n\r\n")[2])
    assert document["status"] == 403
    assert "gateway" in document["detail"]


PUBLIC = next(each for each in own_addresses() if "." in each and not each.startswith("127."))


@pytest.mark.parametrize(("source", "target"), [("127.0.0.1", PUBLIC), (PUBLIC, "127.0.0.1")])
def test_a_source_address_of_its_choice_does_not_help(
    strict: Client, source: str, target: str
) -> None:
    with socket.create_connection((target, strict.port), 10, (source, 0)) as connection:
        assert connection.recv(12) == b"HTTP/1.1 403"


def test_refused_connections_leave_nothing_behind(strict: Client) -> None:
    for _ in range(limits.CONNECTIONS + 10):
        with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection:
            assert connection.recv(12) == b"HTTP/1.1 403"


@pytest.mark.parametrize(
    ("peer", "own"),
    [
        (("127.0.0.1", 1), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("::1", 1, 0, 0), True),
        (("192.0.2.77", 1), False),
        (("::ffff:192.0.2.77", 1, 0, 0), False),
        (("2001:db8::77", 1, 0, 0), False),
    ],
)
def test_an_address_is_own_if_the_kernel_has_it(peer: tuple[str, int], own: bool) -> None:  # noqa: FBT001
    assert is_own(peer) is own


@contextmanager
def network() -> Generator[str]:
    """A network namespace with nothing in it; its path."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        mine = Path("/proc/self/ns/net").readlink()
        path = Path(f"/proc/{process.pid}/ns/net")
        eventually(lambda: path.readlink() != mine)
        yield str(path)
    finally:
        process.kill()
        process.wait()


def test_who_comes_from_elsewhere_is_served() -> None:
    assert shutil.which("ip"), "this test needs ip (iproute2)"
    with ExitStack() as stack:
        pod, gateway = (stack.enter_context(network()) for _ in range(2))
        within = {
            name: ("nsenter", f"--net={path}")
            for name, path in (("pod", pod), ("gateway", gateway))
        }
        link = f"ip link add v0 type veth peer name v1 netns {gateway.split('/')[2]}"
        subprocess.run([*within["pod"], *link.split()], check=True)
        for name, device, address in (("pod", "v0", "10.9.8.1"), ("gateway", "v1", "10.9.8.2")):
            for words in (f"addr add {address}/24 dev {device}", f"link set {device} up"):
                subprocess.run([*within[name], "ip", *words.split()], check=True)
        sidecar = subprocess.Popen(
            [*within["pod"], sys.executable, "-m", "isola_sidecar"],
            env={**os.environ, "PYTHONPATH": str(DATAPLANE)},
            stderr=subprocess.PIPE,
        )
        stack.callback(sidecar.wait)
        stack.callback(sidecar.kill)
        assert sidecar.stderr
        sidecar.stderr.readline()
        asked = subprocess.run(
            [*within["gateway"], sys.executable, "-c", ASK, "10.9.8.1"],
            check=True,
            capture_output=True,
            text=True,
        )
        sidecar.stderr.close()

    assert asked.stdout == '{"status": "ok"}\n'


ASK = """
import sys, urllib.request
print(urllib.request.urlopen(f"http://{sys.argv[1]}:10032/health").read().decode())
"""


def test_streams_terminals_and_watches_are_bounded_together(tmp_path: Path) -> None:
    with Pod(tmp_path) as pod, ExitStack() as stack:
        pod.add("main")
        client = pod.start_sidecar()
        command = client.start("sleep", "60", terminal={"rows": 24, "columns": 80})
        paths = (f"/v1/commands/{command}/stdout", "/v1/filesystem/watch?path=/tmp")
        first = stack.enter_context(Viewer(client, command))
        for number in range(limits.STREAMS - 1):
            connection = client.connect()
            stack.callback(connection.close)
            # Linux allows a user 128 inotify instances, gVisor any number.
            connection.request("GET", paths[number % 8 == 0])
            assert connection.getresponse().status == 200

        for path in paths:
            refused = client.call("GET", path)
            assert refused.status == 429
            assert int(refused.headers["Retry-After"]) > 0
            assert str(limits.STREAMS) in refused.detail
        with Viewer(client, command) as viewer:
            assert viewer.refused == 429
        assert client.run("true").exit_code == 0, "commands are not held up"
        first.leave()

        def opens() -> bool:
            connection = client.connect()
            stack.callback(connection.close)
            connection.request("GET", paths[0])
            return connection.getresponse().status == 200

        eventually(opens)
