"""The steps: programs, the way back, configuration, a look at it, a restart, and a look at that."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from isola_gvisor import configuration as wants
from isola_gvisor import undo
from isola_gvisor.configuration import RefusedError, Wanted
from isola_gvisor.host import Host
from isola_gvisor.node import Node, UnreachableError

REFUSED = f"{undo.FOLDER}/refused"
RESTART_SECONDS = 60
HANDLER_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """What brings one node to have gVisor.

    Attributes:
        host: The node.
        node: Its object.
        wanted: What the chart asks for.
        image: Where the programs and their checksums (SHA512SUMS) lie in this image.
        say: Takes each step, for the log.
    """

    host: Host
    node: Node
    wanted: Wanted
    image: Path
    say: Callable[[str], None]

    def once(self) -> str:
        """Return by whom the node has gVisor, `node` or `installer`, once it has it.

        Harmless to repeat, and to stop at any point: what was begun and not seen to be well is
        undone first, by the next start or by systemd, whichever comes earlier.

        Raises:
            RefusedError: It cannot have it; the node is as it was.
        """
        host = self.host
        if undo.laid(host):
            self.say("an earlier run was cut off: going back before beginning again")
            undo.go(host)
        containerd, main = wants.service(
            host.run("systemctl", "show", "containerd.service", "--property=ExecStart")
        )
        before = host.dump(containerd, main)
        if wants.left_alone(before, self.wanted.handler, host.read(wants.DROP_IN)):
            return "node"
        self._programs()
        files = {
            wants.SHIM_CONFIG: wants.shim_config(
                self.wanted,
                systemd=wants.systemd_cgroups(
                    before, unified=host.path("/sys/fs/cgroup/cgroup.controllers").exists()
                ),
            ),
            wants.DROP_IN: wants.drop_in(self.wanted, before),
        }
        text = host.read(main) or ""
        if not wants.reads_drop_ins(read := tomllib.loads(text)):
            files[main] = wants.importing(text, read)
        if all(host.read(path) == text for path, text in files.items()):
            return "installer"
        self._not_refused_before(files)
        self._configure(files, containerd, main)
        return "installer"

    def _programs(self) -> None:
        for line in (self.image / "SHA512SUMS").read_text().splitlines():
            sha512, name = line.split()
            if self.host.install(self.image / name, f"{self.wanted.folder}/{name}", sha512):
                self.say(f"{self.wanted.folder}/{name} is in place, SHA-512 {sha512[:16]}...")
        version = self.host.run(f"{self.wanted.folder}/runsc", "--version")
        self.say(f"it runs here: {version.splitlines()[0]}")

    def _not_refused_before(self, files: dict[str, str]) -> None:
        known = (self.host.read(REFUSED) or "").split("\n", 1)
        if known[0] == digest(files):
            raise RefusedError(
                f"the same was tried before, and undone: {known[1]} (remove {REFUSED} on the node"
                " to have it tried again)"
            )

    def _configure(self, files: dict[str, str], containerd: str, main: str) -> None:
        host, handler = self.host, self.wanted.handler
        earlier = {path: host.read(path) for path in files}
        without = {path: None for path in files if path in {wants.DROP_IN, wants.SHIM_CONFIG}}
        undo.lay(host, earlier)
        try:
            for path in without:
                host.write(path, None)
            plain = host.dump(containerd, main)
            for path, text in files.items():
                host.write(path, text)
                self.say(f"{path} is written")
            wants.judge(plain, host.dump(containerd, main), handler)
            self.say("containerd reads it as meant; restarting it, which leaves pods running")
            host.run("systemctl", "restart", "containerd")
            self._wait_for_containerd(containerd)
            self._wait_for_handler(handler)
        except RefusedError as error:
            self.say(f"going back: {error}")
            host.write(REFUSED, f"{digest(files)}\n{error}")
            undo.go(host)
            self._wait_for_containerd(containerd)
            raise RefusedError(f"{error} (containerd is configured as it was, and runs)") from error
        undo.take_away(host)
        host.write(REFUSED, None)

    def _wait_for_containerd(self, containerd: str) -> None:
        deadline = time.monotonic() + RESTART_SECONDS
        socket = "/run/containerd/containerd.sock"
        while not (self.host.active("containerd") and self.host.path(socket).is_socket()):
            if time.monotonic() > deadline:
                state = self.host.run("systemctl", "show", "containerd", "--property=Result")
                raise RefusedError(
                    f"{containerd} does not run {RESTART_SECONDS} s after its restart"
                    f" ({state.strip()})"
                )
            time.sleep(0.5)

    def _wait_for_handler(self, handler: str) -> None:
        """Return once the kubelet knows the runtime: it asked the containerd that runs."""
        deadline = time.monotonic() + HANDLER_SECONDS
        while True:
            try:
                handlers = self.node.handlers()
            except UnreachableError as error:  # the API server's pod may be on this node
                handlers, why = set[str](), str(error)
            else:
                why = f"the kubelet reports {sorted(handlers or ())}"
            if handlers is None or handler in handlers:
                return
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"no runtime {handler} {HANDLER_SECONDS} s after the restart: {why}"
                )
            time.sleep(1)


def digest(files: dict[str, str]) -> str:
    """Return what tells one set of files from another."""
    return sha256(repr(sorted(files.items())).encode()).hexdigest()
