"""schemathesis, started as its users start it, and what it reports.

`schemathesis.toml` says how it asks; `hooks.py` runs within it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENTS = HERE.parents[1] / "api" / "openapi"
# On two idle cores it is two minutes.
LONGEST_SECONDS = 1200


@dataclass(frozen=True)
class Server:
    """Who is asked.

    Attributes:
        document: Its document's name in `api/openapi`.
        url: Its address.
        commands: The path of the commands of a sandbox that runs.
        sandbox: The id of that sandbox; a sidecar needs none.
    """

    document: str
    url: str
    commands: str
    sandbox: str = "none"


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        code: Of the process: 0 where nothing was found.
        output: For people: each finding, and how to see it again with curl.
        answers: How often an operation answered with a status, by its id.
    """

    code: int
    output: str
    answers: Mapping[str, Mapping[int, int]]

    @property
    def requests(self) -> int:
        """Return how many requests were answered."""
        return sum(sum(counts.values()) for counts in self.answers.values())

    def statuses(self) -> set[int]:
        """Return all statuses that there were."""
        return {status for counts in self.answers.values() for status in counts}

    def never_accepted(self) -> set[str]:
        """Return the operations that never succeeded."""
        return {
            name
            for name, counts in self.answers.items()
            if not any(200 <= status < 300 for status in counts)
        }


def ask(server: Server, folder: Path, *, examples: int) -> Report:
    """Ask a server for all that its document promises, malformed and in an order that makes sense.

    Args:
        server: Who.
        folder: For what is written on the way.
        examples: How many requests of each operation, and walks along the links, are made up.
    """
    tally = folder / "answers.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", HERE / "schemathesis.toml"),
        *("run", DOCUMENTS / server.document, "--url", server.url),
        *("--max-examples", str(examples), "--no-color"),
    ]
    environment = {
        "HOOKS": str(HERE / "hooks.py"),
        "TALLY": str(tally),
        "SANDBOX": server.sandbox,
        "URL": server.url,
        "COMMANDS": f"{server.url}{server.commands}",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    return Report(code=done.returncode, output=done.stdout, answers=_answers(tally))


def _answers(tally: Path) -> dict[str, dict[int, int]]:
    found: dict[str, Any] = json.loads(tally.read_text()) if tally.exists() else {}
    return {name: {int(k): v for k, v in counts.items()} for name, counts in found.items()}
