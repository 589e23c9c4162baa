"""Our programs as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Program:
    """One of our programs, as a process that can be killed and started again.

    Attributes:
        module: What `python -m` starts.
        environment: Its variables, beside this process's own.
        log: Where its output goes.
        process: The process, or None while there is none.
    """

    module: str
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        code = self.process.wait(40)
        self.process = None
        return code

    def kill(self) -> None:
        if self.process:
            self.end(signal.SIGKILL)
