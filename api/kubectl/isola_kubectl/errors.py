"""What can go wrong, by the exit code that tells a script.

0    done; for `verify`: every log is what its writers wrote
1    `verify` found something, or a log is too damaged to be read
2    the command line, or a file that was given, makes no sense
3    nothing of that name is known, living or deleted
4    kubectl, or the cluster behind it, did not answer with what was asked for
130  interrupted; 143 told to end
"""

from __future__ import annotations

from typing import ClassVar

FOUND = 1
INTERRUPTED = 130
TERMINATED = 143


class PluginError(Exception):
    """Something that ends the command. The message is for whoever typed it."""

    code: ClassVar[int] = 4


class DamagedError(PluginError):
    """A log holds what no writer of ours writes."""

    code = FOUND


class UsageError(PluginError):
    """The request makes no sense."""

    code = 2


class UnknownError(PluginError):
    """Neither an object of that name nor a record of one."""

    code = 3


class KubectlError(PluginError):
    """kubectl failed; the message is its own."""
