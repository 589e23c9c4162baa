"""A terminal for a command: a pseudo-terminal of the container's own devpts.

Of the container's, not of the sidecar's: there `tty` and ttyname(3) find the device by its name.
The end for the program is asked of the other end (TIOCGPTPEER), so no path in the container,
which sandboxed code could have exchanged, decides what it is. Tried under gVisor, which
has all of that; but it tells nobody of a new size, and the reader of a terminal whose last
program has gone gets no EIO: the one is done by the launcher, and the other told by the exit.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from typing import Final, NamedTuple

from . import rootfs
from .problems import ProblemError

# termios has the first two only; all are the same on every architecture that matters.
_TIOCSWINSZ: Final = 0x5414
_TIOCSPTLCK: Final = 0x40045431
_TIOCGPTPEER: Final = 0x5441
_MULTIPLEXER: Final = os.makedev(5, 2)
_FLAGS: Final = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC

END_OF_TRANSMISSION: Final = b"\x04"
"""What Ctrl-D types: the end of input for a program that reads lines."""


class Size(NamedTuple):
    """Of a terminal, in characters."""

    rows: int
    columns: int


class Terminal:
    """Both ends of a pseudo-terminal, open until its command has ended."""

    def __init__(self, root: int, size: Size) -> None:
        """Make one in the container whose root is `root`.

        Raises:
            ProblemError: 409 when the container has no /dev/ptmx.
        """
        self.ours = _open_multiplexer(root)
        try:
            fcntl.ioctl(self.ours, _TIOCSPTLCK, struct.pack("i", 0))
            self.programs = fcntl.ioctl(self.ours, _TIOCGPTPEER, _FLAGS)
            self.resize(size)
        except OSError as failed:
            os.close(self.ours)
            raise ProblemError(409, f"no terminal in the container: {failed.strerror}") from failed

    def resize(self, size: Size) -> None:
        """Give it another size. Whoever is to know is to be told."""
        fcntl.ioctl(self.ours, _TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def close(self) -> None:
        """Hang up."""
        os.close(self.ours)
        os.close(self.programs)


def _open_multiplexer(root: int) -> int:
    try:
        found = rootfs.open_within(root, "/dev/ptmx", os.O_PATH)
        try:
            status = os.fstat(found)
            # Looked at before it is opened: anything could lie there, a FIFO that blocks included.
            if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _MULTIPLEXER:
                raise ProblemError(409, "/dev/ptmx of the container is not a terminal multiplexer")
            return os.open(f"/proc/self/fd/{found}", _FLAGS | os.O_NONBLOCK)
        finally:
            os.close(found)
    except OSError as failed:
        raise ProblemError(409, f"/dev/ptmx in the container: {failed.strerror}") from failed
