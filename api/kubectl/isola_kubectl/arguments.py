"""The command line: one table, for parsing, for help and for what a shell may complete."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass

_WITNESS = re.compile(r"([1-9][0-9]*):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Option:
    """An option with a value, or a switch without one.

    Attributes:
        flags: Its spellings, `--long` last.
        help: What it does.
        metavar: Name of its value; empty for a switch.
        choices: Values that it may have; empty for any.
        repeated: Whether it may be given several times.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeated: bool = False

    @property
    def valued(self) -> bool:
        """Return whether a value follows."""
        return bool(self.metavar or self.choices)


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        name: Its name.
        help: What it does.
        argument: Name of its argument; in brackets where it may be left out, empty for none.
        about: What the argument is.
        options: Those of its own.
        choices: Values that its argument may have; empty for what objects and types are named.
    """

    name: str
    help: str
    argument: str = ""
    about: str = ""
    options: tuple[Option, ...] = ()
    choices: tuple[str, ...] = ()


NAMESPACE = Option(("-n", "--namespace"), "where the objects are", "NAMESPACE")
CONTEXT = Option(("--context",), "which context of the kubeconfig", "CONTEXT")
KUBECONFIG = Option(("--kubeconfig",), "which kubeconfig", "FILE")
OUTPUT = Option(("-o", "--output"), "for people, or for programs", choices=("table", "json"))
COMMON = (NAMESPACE, CONTEXT, KUBECONFIG, OUTPUT)

UID = Option(("--uid",), "which one, where several had the name", "UID")
FILES = Option(("-f", "--file"), "an exported log, or - for standard input", "FILE", repeated=True)

_ONE = "of a sandbox, or rootfssnapshot/NAME"
_ALL = "; rootfssnapshots for all snapshots"

COMMANDS = (
    Command(
        "history",
        "what happened, in order, how long it took, and who asked",
        "NAME",
        _ONE,
        (UID,),
    ),
    Command(
        "list",
        "sandboxes or snapshots, and what became of them",
        "[TYPE]",
        "rootfssnapshots for snapshots; sandboxes where it is left out",
        (Option(("-a", "--all"), "deleted ones too, as far as there are records"),),
    ),
    Command("why", "why it ended, or what it waits for, in a sentence", "NAME", _ONE, (UID,)),
    Command(
        "watch",
        "transitions as they happen: of all, or one from beginning to end",
        "[NAME]",
        _ONE + _ALL,
    ),
    Command(
        "verify",
        "whether anybody changed, removed, put in or moved entries of a log",
        "[NAME]",
        _ONE + _ALL,
        (
            Option(("-a", "--all"), "every log in the namespace, records included"),
            FILES,
            Option(
                ("--witness",),
                "an entry's number and digest, noted earlier: it must still be there",
                "SEQ:DIGEST",
                repeated=True,
            ),
            UID,
        ),
    ),
    Command(
        "completion",
        "a script that completes isola-history; kubectl completes its plugin by itself",
        "SHELL",
        "one of bash, zsh, fish",
        choices=("bash", "zsh", "fish"),
    ),
)

_EPILOG = """\
exit codes: 0 done; 1 verify found something, or a log cannot be read; 2 wrong usage; 3 nothing of
that name is known; 4 kubectl failed; 130 interrupted

Types are named as kubectl names them: sandboxes, sandbox, sb; rootfssnapshots, rootfssnapshot, rfs.

It runs kubectl (or $KUBECTL) with your rights: get, list and watch on sandboxes, list on
sandboxrecords, the same on rootfssnapshots and rootfssnapshotrecords where you ask about these.
Set NO_COLOR for no colours."""


def parse(program: str, version: str, words: Sequence[str]) -> argparse.Namespace:
    """Return the command line's values; `command` is the name of the command.

    Raises:
        SystemExit: Help was asked for, or the line makes no sense (2).
    """
    parser = argparse.ArgumentParser(
        prog=program,
        allow_abbrev=False,
        description="The histories of Isola's sandboxes and snapshots, living and deleted.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    for option in COMMON:
        _add(parser, option, default="table" if option is OUTPUT else None)
    rows = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        row = rows.add_parser(
            command.name, help=command.help, description=command.help, allow_abbrev=False
        )
        if command.argument:
            _add_argument(row, command)
        for option in command.options:
            _add(row, option, default=None)
        for option in COMMON:  # before the command or after it
            _add(row, option, default=argparse.SUPPRESS)
    return parser.parse_args(words)


def witness(text: str) -> tuple[int, str]:
    """Return the number and digest in `SEQ:DIGEST`.

    Raises:
        ValueError: It is none.
    """
    match = _WITNESS.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not SEQ:DIGEST, a number and 64 hexadecimal digits")
    return int(match[1]), match[2]


def _add_argument(parser: argparse.ArgumentParser, command: Command) -> None:
    optional = command.argument.startswith("[")
    name = command.argument.strip("[]")
    parser.add_argument(
        name.lower(),
        metavar=name,
        nargs="?" if optional else None,
        default="" if optional else None,
        choices=command.choices or None,
        help=command.about,
    )


def _add(parser: argparse.ArgumentParser, option: Option, default: object) -> None:
    if not option.valued:
        parser.add_argument(*option.flags, action="store_true", help=option.help)
    elif option.repeated:
        parser.add_argument(
            *option.flags,
            action="extend",
            nargs="+",
            metavar=option.metavar,
            help=option.help,
            default=default,
        )
    else:
        parser.add_argument(
            *option.flags,
            metavar=option.metavar or "|".join(option.choices),
            help=option.help,
            default=default,
            choices=option.choices or None,
        )
