"""How a program is started in a container's root: what execvp(3) and a shell would do.

No shell of the image is needed. A program that cannot be executed is not an error of the
request: the command ends with the exit code and the line on stderr that a shell would give.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Launch = Callable[[bytes, list[bytes], dict[bytes, bytes]], int]

DEFAULT_PATH: Final = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for when the container has no PATH; containerd's own default."""

DESCRIPTORS: Final = 6
_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
_SHELL: Final = b"/bin/sh"
_TIOCSCTTY: Final = 0x540E  # the same on every architecture that matters; saves an import


class Start(NamedTuple):
    """An order to start a program. All but `mark` are descriptors; `words` holds `pack`'s text."""

    mark: int
    root: int
    directory: int
    stdin: int
    stdout: int
    stderr: int
    words: int


class Refusal(NamedTuple):
    """Why a program did not start, as a shell tells it."""

    exit_code: int
    reason: str | None


def pack(argv: Sequence[bytes], environment: Mapping[bytes, bytes]) -> bytes:
    """Return `count NUL argv… NUL name=value…`; no word can hold a NUL (execve(2))."""
    pairs = [name + b"=" + value for name, value in environment.items()]
    return b"\0".join([str(len(argv)).encode(), *argv, *pairs])


def unpack(words: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Return what `pack` was given."""
    count, *rest = words.split(b"\0")
    argv, pairs = rest[: int(count)], rest[int(count) :]
    return argv, {name: value for name, _, value in (pair.partition(b"=") for pair in pairs)}


def start(order: Start) -> int | Refusal:
    """Start the program and return its id, or what a shell would say.

    Changes root, directory and a resource limit of this process, and leaves the first two so.
    """
    size = os.fstat(order.words).st_size
    argv, environment = unpack(os.pread(order.words, size, 0))
    try:
        os.fchdir(order.root)
        os.chroot(".")
        os.fchdir(order.directory)
    except OSError as failed:
        outcome = Refusal(_NOT_EXECUTABLE, f"cannot enter the container: {failed.strerror}")
    else:
        outcome = _spawn_marked(argv, environment, order)
    if isinstance(outcome, Refusal):
        _tell(outcome, argv, order)
    return outcome


def _tell(refusal: Refusal, argv: list[bytes], order: Start) -> None:
    name = argv[0].decode(errors="replace")
    os.write(order.stderr, f"isola: {name}: {refusal.reason}\n".encode())


def _spawn_marked(
    argv: list[bytes], environment: dict[bytes, bytes], order: Start
) -> int | Refusal:
    # Set before the start and inherited, not set on the child: it could fork before that.
    soft, hard = resource.getrlimit(resource.RLIMIT_RSS)
    resource.setrlimit(resource.RLIMIT_RSS, (order.mark, hard))
    try:
        if os.isatty(order.stdin):
            return _fork_at_terminal(argv, environment, order)
        return _spawn_first(argv, environment, partial(_posix_spawn, order))
    finally:
        resource.setrlimit(resource.RLIMIT_RSS, (soft, hard))


def _fork_at_terminal(argv: list[bytes], environment: dict[bytes, bytes], order: Start) -> int:
    """Start the program as the leader of a session that the terminal controls.

    posix_spawn cannot do that but by opening the terminal by a path of the container, which may
    lead anywhere, and would hold up the launcher there. A fork takes some ms more.
    """
    if pid := os.fork():
        return pid
    code = _NOT_EXECUTABLE
    try:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        fcntl.ioctl(order.stdin, _TIOCSCTTY, 0)
        for number, end in enumerate((order.stdin, order.stdout, order.stderr)):
            os.dup2(end, number)
        refusal = _spawn_first(argv, environment, os.execve)
        if isinstance(refusal, Refusal):
            code = refusal.exit_code
            _tell(refusal, argv, order)
    finally:
        # Whatever happened, this copy of the launcher must not go on as a second one.
        os._exit(code)


def _spawn_first(
    argv: list[bytes], environment: dict[bytes, bytes], launch: Launch
) -> int | Refusal:
    refusal = Refusal(_NOT_FOUND, "not found")
    for path in _candidates(argv[0], environment.get(b"PATH", DEFAULT_PATH)):
        try:
            # The look before the leap saves a vfork for each directory without the program.
            if _is_executable(path):
                return _spawn(path, argv, environment, launch)
            refusal = Refusal(_NOT_EXECUTABLE, "not executable")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as denied:
            refusal = Refusal(_NOT_EXECUTABLE, denied.strerror)
        except OSError as failed:
            return Refusal(_NOT_EXECUTABLE, failed.strerror)
    return refusal


def _is_executable(path: bytes) -> bool:
    # Root may execute what has any execute bit at all (capabilities(7), CAP_DAC_OVERRIDE).
    mode = os.stat(path).st_mode  # noqa: PTH116 - bytes, and no import
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _candidates(name: bytes, path: bytes) -> Iterator[bytes]:
    if b"/" in name:
        yield name
    elif name:
        for directory in path.split(b":"):
            yield (directory or b".") + b"/" + name


def _spawn(path: bytes, argv: list[bytes], environment: dict[bytes, bytes], launch: Launch) -> int:
    try:
        return launch(path, argv, environment)
    except OSError as failed:
        if failed.errno != errno.ENOEXEC:
            raise
        # A script without an interpreter line: execvp(3) hands it to the shell, if there is one.
        return launch(_SHELL, [_SHELL, path, *argv[1:]], environment)


def _posix_spawn(
    order: Start, path: bytes, argv: list[bytes], environment: dict[bytes, bytes]
) -> int:
    return os.posix_spawn(
        path,
        argv,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, order.stdin, 0),
            (os.POSIX_SPAWN_DUP2, order.stdout, 1),
            (os.POSIX_SPAWN_DUP2, order.stderr, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )
