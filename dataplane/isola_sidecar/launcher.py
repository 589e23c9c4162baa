"""The launcher: a small second process that starts, reaps and kills commands.

Why a process of its own:

- It has one thread and no event loop, so it may change root and directory as it likes and start
  programs with `posix_spawn`: a vfork, which does not copy page tables (fork of this interpreter
  under gVisor: 4-9 ms; with a keeper process for each command instead: twice the time to start
  `true`, and 5 MiB more for each).
- It is the child subreaper: a daemon that loses its parent becomes the launcher's child and is
  reaped here, whatever the pod's first process does.
- It gives up SYS_PTRACE and NET_ADMIN for its children: commands must not read other containers'
  memory, or the sidecar's, nor give the pod addresses. It keeps both itself, as ptrace(2) asks a
  tracer for its target's.

It talks over one SEQPACKET socket. In: `start <mark>` with the descriptors of `Start`,
`kill <mark>`, `signal <mark> <number>`, `resized <mark>`. Out: `exited <mark> <wait status>`.
When the socket closes, the sidecar is gone: running commands are killed, as nobody could see or
stop them.

After the first `start` its root is a container's. From then on nothing may be imported, or
looked up by a path that is not meant for that root; /proc is reached through a descriptor.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys

from . import capabilities, limits, lineage, procfs, spawning


def fork() -> socket.socket:
    """Start a launcher and return the socket to it.

    Callable at any time, also to replace one that died. At start it comes after the imports: a
    page that is shared after a fork costs a copy when an import touches it, which made the start
    under gVisor 40 ms longer.
    """
    gc.freeze()  # a collection would touch, and so copy, every page that is still shared
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        return ours
    try:
        _become_launcher(theirs.detach())
    except BaseException as failed:  # noqa: BLE001 - it ends below, and a traceback needs imports
        os.write(2, f"the launcher failed: {failed!r}\n".encode())
    finally:
        # Whatever happened, this copy of the sidecar must not go on as a second one.
        os._exit(0)


def _become_launcher(channel: int) -> None:
    os.dup2(channel, 3, inheritable=False)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))  # one system call: close_range(2)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    capabilities.become_subreaper()
    capabilities.withhold()
    launcher = _Launcher(socket.socket(fileno=3))
    sys.meta_path.clear()
    launcher.run()


class _Launcher:
    """The loop of the launcher and what it remembers."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._proc = procfs.open_proc()
        self._running: dict[int, int] = {}  # mark -> pid of the program itself, until reaped
        self._dying: dict[int, int] = {}  # mark -> passes left
        self._orphaned = False
        self._wakeup, wakeup_writer = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wakeup_writer, False)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        # Without a handler the signal would not reach the wake-up descriptor either.
        signal.signal(signal.SIGCHLD, _ignore)

    def run(self) -> None:
        """Serve until the sidecar is gone and its commands are too."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while not self._orphaned or self._dying:
            pause = int(limits.KILL_PASS_SECONDS * 1000) if self._dying else None
            ready = {descriptor for descriptor, _ in poll.poll(pause)}
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            self._reap()
            if self._channel.fileno() in ready and not self._orphaned:
                self._serve()
                if self._orphaned:
                    poll.unregister(self._channel)
            self._kill_on()

    def _serve(self) -> None:
        message, descriptors = self._receive()
        for descriptor in descriptors:  # recv_fds of Python 3.11 drops MSG_CMSG_CLOEXEC
            os.set_inheritable(descriptor, False)  # noqa: FBT003
        match message.split():
            case [b"start", mark]:
                self._start(int(mark), descriptors)
            case [b"kill", mark]:
                self._dying[int(mark)] = limits.KILL_PASSES
            case [b"resized", mark]:
                self._tell_size(int(mark))
            case [b"signal", mark, number]:
                self._signal(int(mark), int(number))
            case _:
                self._orphaned = True
                self._dying |= dict.fromkeys(self._running, limits.KILL_PASSES)

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            return socket.recv_fds(self._channel, 256, spawning.DESCRIPTORS)[:2]
        except ConnectionResetError:  # closed with reports unread
            return b"", []

    def _start(self, mark: int, descriptors: list[int]) -> None:
        try:
            outcome = spawning.start(spawning.Start(mark, *descriptors))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if isinstance(outcome, spawning.Refusal):
            self._report(mark, outcome.exit_code << 8)
        else:
            self._running[mark] = outcome

    def _signal(self, mark: int, number: int) -> None:
        """Signal the command's process group, as a terminal does for Ctrl-C.

        Only while the program itself is not reaped: until then its id, and so its group's, is
        nobody else's.
        """
        if mark in self._running:
            try:
                os.killpg(self._running[mark], number)
            except (ProcessLookupError, PermissionError):
                return

    def _tell_size(self, mark: int) -> None:
        """Tell all of a terminal's session of its new size.

        The kernel tells the foreground group, but gVisor tells nobody, nor does it say which
        group that is. To whom it means nothing SIGWINCH does nothing.
        """
        if leader := self._running.get(mark):
            session = [each for each in procfs.processes(self._proc) if each.session == leader]
            lineage.send(self._proc, session, signal.SIGWINCH)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._forget(pid, status)

    def _forget(self, pid: int, status: int) -> None:
        for mark, running in self._running.items():
            if running == pid:
                del self._running[mark]
                self._report(mark, status)
                return

    def _report(self, mark: int, status: int) -> None:
        try:
            self._channel.send(b"exited %d %d" % (mark, status))
        except OSError:
            self._orphaned = True

    def _kill_on(self) -> None:
        for mark in tuple(self._dying):
            self._dying[mark] -= 1
            if lineage.kill(self._proc, mark) or self._dying[mark] <= 0:
                del self._dying[mark]


def _ignore(_: int, __: object) -> None: ...
