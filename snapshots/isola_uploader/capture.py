"""Takes the upper layer of a container's root file system.

    runsc tar ──pipe──> packing ──> archive
        └── both are children of this process, which alone pauses and resumes

A sandbox that was paused runs again, whoever dies: a child that is killed, or a capture that takes
too long, is seen here; a SIGTERM is; and where this process itself is killed, the next one, which
kubelet or Job starts, begins by resuming. It never leaves before the sandbox runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from isola_lifecycle.snapshot.conditions import Reason
from isola_uploader.manifest import ARCHIVE, Failure, Manifest
from isola_uploader.packing import TOO_LARGE
from isola_uploader.runsc import Runsc, RunscError, last_line

# A file that changes size while it is read makes gVisor give up; the next time it may not.
_ATTEMPTS = 3
_DRAFT = f"{ARCHIVE}.new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be captured.

    Attributes:
        container: Its id, as the runtime knows it.
        folder: Where the archive goes.
        limit_bytes: How large that may be.
        pause: Whether nothing in the sandbox may run meanwhile.
        limit_seconds: How long it may take, and so how long a sandbox is paused.
    """

    container: str
    folder: Path
    limit_bytes: int
    pause: bool = False
    limit_seconds: float = 300


class _FailedError(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def capture(runsc: Runsc, order: Order, clock: Callable[[], float]) -> Manifest | Failure:
    """Leave the archive in the order's folder, and return what is to be said of it.

    Args:
        runsc: The node's.
        order: What to take.
        clock: Gives seconds, steadily.
    """
    began = clock()
    try:
        with _stopped(runsc, order) if order.pause else _running():
            words = _attempted(runsc, order, began + order.limit_seconds, clock)
    except _FailedError as error:
        return Failure(reason=error.reason, message=str(error))
    (order.folder / _DRAFT).replace(order.folder / ARCHIVE)
    return Manifest(
        size_bytes=int(words[0]),
        sha256=words[1],
        stored_bytes=int(words[2]),
        stored_sha256=words[3],
        seconds=round(clock() - began, 3),
    )


@contextmanager
def _running() -> Generator[None]:
    yield


@contextmanager
def _stopped(runsc: Runsc, order: Order) -> Generator[None]:
    def leave(*_: int | FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)  # by way of `finally`

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        runsc.pause(order.container)
        yield
    except RunscError as error:
        raise _gone_or(runsc, order, f"the sandbox could not be paused: {error}") from error
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # not now
        _resume(runsc, order.container)
        signal.signal(signal.SIGTERM, previous)


def _resume(runsc: Runsc, container: str) -> None:
    while True:
        try:
            runsc.resume(container)
        except RunscError as error:
            structlog.get_logger().error("not_resumed", container=container, error=str(error))
            time.sleep(0.2)
        else:
            return


def _attempted(
    runsc: Runsc, order: Order, deadline: float, clock: Callable[[], float]
) -> list[str]:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _taken(runsc, order, deadline - clock())
        except _FailedError as error:
            if error.reason != Reason.CAPTURE_FAILED or attempt == _ATTEMPTS:
                raise
            structlog.get_logger().warning("capture_failed", attempt=attempt, error=str(error))
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def _taken(runsc: Runsc, order: Order, seconds: float) -> list[str]:
    if not runsc.exists(order.container):
        raise _gone_or(runsc, order, "")
    target = str(order.folder / _DRAFT)
    packing = [sys.executable, "-IB", "-m", "isola_uploader.packing", target]
    errors = order.folder / "runsc.log"
    outlet, inlet = os.pipe()
    with (
        errors.open("wb") as log,
        open(outlet, "rb") as archive,  # noqa: PTH123 - by descriptor
        open(inlet, "wb") as way,  # noqa: PTH123 - likewise
        _child(
            runsc.tar(order.container, f"/proc/self/fd/{inlet}"),
            stdout=log,
            stderr=log,
            pass_fds=(inlet,),
        ) as reader,
        _child([*packing, str(order.limit_bytes)], stdin=archive, stdout=subprocess.PIPE) as writer,
    ):
        # They are the children's now: if one of them dies, the other hears of it.
        archive.close()
        way.close()
        try:
            told, _ = writer.communicate(timeout=max(seconds, 0))
            code = reader.wait(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired as error:
            raise _FailedError(
                Reason.CAPTURE_FAILED,
                f"taking the archive took longer than {order.limit_seconds:.0f} s:"
                " ask for more time (timeoutSeconds), or keep less in the root file system",
            ) from error
    return _verdict(runsc, order, (code, writer.returncode), told.split(), errors)


def _verdict(
    runsc: Runsc, order: Order, codes: tuple[int, int], words: list[bytes], errors: Path
) -> list[str]:
    match codes:
        case (0, 0):
            return [word.decode() for word in words]
        case (_, code) if code == TOO_LARGE:
            raise _FailedError(
                Reason.ARCHIVE_TOO_LARGE,
                f"the archive is larger than {order.limit_bytes} bytes, compressed, which is the"
                " container's limit of ephemeral storage: raise that, or keep less in its root"
                " file system",
            )
        case (0, code):
            message = f"the process that compresses the archive ended with {code}"
            raise _FailedError(Reason.CAPTURE_FAILED, message)
        case _:
            said = last_line(errors.read_text(errors="replace"))
            raise _gone_or(runsc, order, f"gVisor gave no archive: {said}{_advice(said)}")


def _gone_or(runsc: Runsc, order: Order, message: str) -> _FailedError:
    if runsc.exists(order.container):
        return _FailedError(Reason.CAPTURE_FAILED, message)
    return _FailedError(
        Reason.CONTAINER_GONE,
        f"container {order.container} is not on this node any more: it ended before its root file"
        " system was taken",
    )


def _advice(said: str) -> str:
    changing = "write too long" in said or "missed writing" in said
    return "; a file changed while it was read: ask for a pause" if changing else ""


@contextmanager
def _child(
    command: Sequence[str],
    *,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 - ours, or the node's
        command, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
