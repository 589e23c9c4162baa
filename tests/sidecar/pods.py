"""A pod's look-alike: one PID namespace, containers with roots of their own, and a real sidecar.

As under a container runtime, the containers' main processes and the sidecar come from outside the
namespace, so their parent is 0; a paused process is the namespace's first. A container's root is
an overlay over this machine's root: all of its programs are there, and writes stay in the overlay.
The network is this machine's, or one of the pod's own. Needs root, as the sidecar itself does.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlencode

from isola_lifecycle.naming import CERTIFICATE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isola_operator.credentials import Credentials

DATAPLANE = Path(__file__).parents[2] / "dataplane"

# A /dev of the container's own: what a test removes there is not this machine's.
_DEVICES = """
            mount -t tmpfs -o mode=755 tmpfs dev
            cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev/
            mkdir dev/pts dev/shm
            mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
            mount -t tmpfs tmpfs dev/shm
            ln -s pts/ptmx dev/ptmx
            ln -s /proc/self/fd dev/fd
""".strip()


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.json["status"] == self.status
        assert self.json["type"] == "about:blank"
        assert self.json["title"]
        return self.json["detail"]


class Ran(NamedTuple):
    id: str
    exit_code: int | None
    stdout: str
    stderr: str
    status: Any


class Event(NamedTuple):
    data: str
    id: int


def decode_events(stream: bytes) -> list[Event]:
    """Read server-sent events as the HTML standard says, ids as integers."""
    events: list[Event] = []
    data: list[str] = []
    last_id = 0
    # Not splitlines(): it also splits at separators that are none in an event stream.
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append(Event("\n".join(data), last_id))
            data = []
        elif name == "data":
            data.append(value)
        elif name == "id":
            last_id = int(value)
    return events


def text_of(stream: bytes) -> str:
    return "".join(event.data for event in decode_events(stream))


class Client:
    """Talks to a sidecar with the standard library's client, a connection for each call.

    With `tls` over TLS, whoever answers.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", *, tls: bool = False) -> None:
        self.port = port
        self.host = host
        self.tls = credulous() if tls else None

    def connect(self) -> http.client.HTTPConnection:
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=30, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def dial(self) -> socket.socket:
        """Return a connection for a test that speaks for itself."""
        made = socket.create_connection((self.host, self.port), timeout=10)
        return self.tls.wrap_socket(made) if self.tls else made

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        /,
        headers: Mapping[str, str] | None = None,
        **query: str | int,
    ) -> Answer:
        connection = self.connect()
        try:
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, dict(response.getheaders()), content)
        finally:
            connection.close()

    def post_command(self, *args: str, container: str | None = None, **fields: Any) -> Answer:
        path = f"/v1/commands?container={container}" if container else "/v1/commands"
        return self.call("POST", path, json.dumps({"args": args, **fields}))

    def start(self, *args: str, container: str | None = None, **fields: Any) -> str:
        answer = self.post_command(*args, container=container, **fields)
        assert answer.status == 202, answer
        return answer.json["id"]

    def wait(self, command: str, seconds: int = 20) -> Any:
        answer = self.call("GET", f"/v1/commands/{command}/status", waitSeconds=seconds)
        assert answer.status == 200, answer
        return answer.json

    def stream(self, command: str, name: str = "stdout", **headers: str) -> Answer:
        return self.call("GET", f"/v1/commands/{command}/{name}", headers=headers)

    def run(self, *args: str, container: str | None = None, **fields: Any) -> Ran:
        command = self.start(*args, container=container, **fields)
        status = self.wait(command)
        out, err = (text_of(self.stream(command, name).body) for name in ("stdout", "stderr"))
        return Ran(command, status["exitCode"], out, err, status)

    def sh(self, script: str, **fields: Any) -> Ran:
        return self.run("/bin/sh", "-c", script, **fields)

    def kill(self, command: str, **query: Any) -> Answer:
        return self.call("DELETE", f"/v1/commands/{command}", **query)

    def stdin(self, command: str, body: bytes) -> Answer:
        return self.call("POST", f"/v1/commands/{command}/stdin", body)

    def close_stdin(self, command: str) -> Answer:
        return self.call("POST", f"/v1/commands/{command}/stdin/close")

    def upload(self, path: str, content: Any, /, **query: Any) -> Answer:
        return self.call("POST", "/v1/filesystem", content, path=path, **query)

    def download(self, path: str, /, **query: Any) -> Answer:
        return self.call("GET", "/v1/filesystem", path=path, **query)


def credulous() -> ssl.SSLContext:
    """Return how to speak TLS with whoever answers."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


@dataclass
class Container:
    """A container of the pod: its main process as this machine's /proc has it, and its root."""

    process: subprocess.Popen[bytes]
    pid: int

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.pid}/root")

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Pod:
    """Make a pod in `directory`; add containers, then a sidecar.

    With `own_network` it has an address of its own, which this machine reaches, and the sidecar
    listens where gateways look for it.
    """

    directory: Path
    own_network: bool = False
    address: str = "127.0.0.1"
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list[Any])
    _pause: int = 0
    client: Client = field(default_factory=lambda: Client(0))
    sidecar: int = 0

    def __enter__(self) -> Self:
        network = ("--net",) if self.own_network else ()
        unshare = self._popen(
            *("unshare", "--pid", "--mount", *network, "--fork", "--mount-proc", "--kill-child"),
            *("sleep", "infinity"),
        )
        self._pause = _only_child(unshare.pid)
        if self.own_network:
            self._connect_network()
        return self

    def _connect_network(self) -> None:
        """Lay a cable to the pod; it goes with the namespace."""
        number = self._pause % 2**15  # a few of RFC 2544's addresses for each pod
        first = int(IPv4Address("198.18.0.0")) + 4 * number
        here, self.address = (str(IPv4Address(first + each)) for each in (1, 2))
        device, within = f"isola{number}", ("nsenter", f"--target={self._pause}", "--net")
        for command in (
            f"ip link add {device} type veth peer name eth0 netns {self._pause}",
            f"ip addr add {here}/30 dev {device}",
            f"ip link set {device} up",
        ):
            subprocess.run(command.split(), check=True)
        for command in (
            f"ip addr add {self.address}/30 dev eth0",
            "ip link set eth0 up",
            "ip link set lo up",
        ):
            subprocess.run([*within, *command.split()], check=True)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pause, signal.SIGKILL)  # the first process: all of the namespace goes
        for process in self._processes:
            process.wait()
            if process.stderr:
                process.stderr.close()

    def add(
        self,
        name: str,
        *,
        user: str = "0:0",
        command: str = "sleep infinity",
        prepare: str = "true",
        directory: str = "/",
    ) -> Container:
        """Start a container; `prepare` runs in its root, as shell text, before it does."""
        base = self.directory / f"container-{len(self._processes)}"
        for part in ("upper", "work", "root"):
            (base / part).mkdir(parents=True)
        script = f"""
            set -e
            mount -t overlay overlay \
                -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {base}/root
            cd {base}/root
            mount -t proc proc proc
            {_DEVICES}
            chroot . /bin/sh -ec '{prepare}'
            exec chroot --userspec={user} . env -i -C {directory} PATH="$PATH" \
                ISOLA_CONTAINER_NAME={name} {command}
        """
        process = self._enter("unshare", "--mount", "/bin/sh", "-c", script)
        pid = _only_child(process.pid)
        eventually(lambda: b"ISOLA_CONTAINER_NAME" in Path(f"/proc/{pid}/environ").read_bytes())
        return Container(process, pid)

    def start_sidecar(self, *options: str, credentials: Credentials | None = None) -> Client:
        """Start the sidecar, with `credentials` as in a pod, and return a client for it.

        Unless the network is the pod's own, this machine's addresses are the pod's too: so the
        sidecar has to serve those, unless `options` are given, and on a free port.
        """
        if not self.own_network:
            options = ("0", *(options or ("serve-own",)))
        given = self._given(credentials) if credentials else ()
        process = self.launch_sidecar(*given, options=options)
        assert process.stderr
        line = process.stderr.readline()
        self.sidecar = _only_child(process.pid)
        self.client = Client(int(line.split()[-1]), self.address, tls=bool(credentials))
        return self.client

    def launch_sidecar(
        self, *environment: str, options: tuple[str, ...] = ("0", "serve-own")
    ) -> subprocess.Popen[bytes]:
        """Start the sidecar, with what env(1) takes before a program."""
        module = (f"PYTHONPATH={DATAPLANE}", sys.executable, "-m", "isola_sidecar")
        return self._enter("env", *environment, *module, *options, stderr=subprocess.PIPE)

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process among the pod's."""
        return self._enter(*command)

    def _given(self, credentials: Credentials) -> tuple[str, ...]:
        directory = self.directory / credentials.key
        directory.mkdir()
        return f"--chdir={directory}", f"{CERTIFICATE_VARIABLE}={credentials.certificate}"

    def stop_sidecar(self) -> float:
        """Stop the sidecar as a pod's deletion does, and return the seconds it took."""
        begun = time.monotonic()
        os.kill(self.sidecar, signal.SIGTERM)
        eventually(lambda: not Path(f"/proc/{self.sidecar}").exists())
        return time.monotonic() - begun

    def has_process(self, argument: bytes) -> bool:
        """Return whether a process of the pod has `argument` in its command line."""
        namespace = Path(f"/proc/{self._pause}/ns/pid").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if argument in words and (process / "ns/pid").readlink() == namespace:
                    return True
            except OSError:
                continue
        return False

    def within(self, *command: str) -> str:
        """Return what a program that joins the pod's processes prints."""
        entered = ("nsenter", f"--target={self._pause}", "--pid", "--mount", *command)
        ran = subprocess.run(entered, capture_output=True, text=True, errors="replace", check=False)
        return ran.stdout

    def _enter(self, *command: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
        spaces = ("--pid", "--mount", *(("--net",) if self.own_network else ()))
        target = f"--target={self._pause}"
        return self._popen("nsenter", target, *spaces, *command, stderr=stderr)

    def _popen(self, *command: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        self._processes.append(process)
        return process


def eventually(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return what `holds` returns as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.01)
    return result


def pid_inside(pid: int) -> int:
    """Return the id that a process has in the pod."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    raise LookupError(pid)


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return int(eventually(lambda: children.read_text().split())[0])


def require_tools() -> None:
    """Say at once what this machine lacks, instead of failing somewhere in between."""
    missing = [tool for tool in ("unshare", "nsenter", "chroot") if not shutil.which(tool)]
    assert not missing, f"these tests need {missing}"
    assert os.geteuid() == 0, "these tests need root, as the sidecar does"
