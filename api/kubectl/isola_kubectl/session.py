"""What every command is given."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from isola_kubectl.kinds import Kind
from isola_kubectl.kubectl import Kubectl
from isola_kubectl.objects import Objects
from isola_kubectl.showing import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of a command.

    Attributes:
        given: Values of the command line.
        kubectl: The way to the cluster.
        screen: Where results go.
        warn: Takes remarks that are no part of the result.
        stdin: For files named `-`.
        now: The present, UTC.
        pause: Waits so many seconds.
    """

    given: Namespace
    kubectl: Kubectl
    screen: Screen
    warn: Callable[[str], None]
    stdin: TextIO
    now: datetime
    pause: Callable[[float], None]

    def objects(self, kind: Kind) -> Objects:
        """Return the way to the objects of a kind."""
        return Objects(self.kubectl, kind)

    @property
    def json(self) -> bool:
        """Return whether a program reads the result."""
        return self.given.output == "json"

    def show(self, document: Any, *, indent: int | None = 2) -> None:
        """Show a result to a program."""
        self.screen.out.write(json.dumps(document, indent=indent) + "\n")
        self.screen.out.flush()
