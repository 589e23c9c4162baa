"""The node, from a pod that sees its root and its processes: files, programs, services."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from isola_gvisor.configuration import RefusedError

COMMAND_SECONDS = 120
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
ENTER = ("/usr/bin/nsenter", "--target=1", *NAMESPACES, "--")


@dataclass(frozen=True, slots=True)
class Host:
    """A node whose root is mounted below `root`. Paths are as the node sees them."""

    root: Path

    def path(self, name: str) -> Path:
        """Return where the pod sees a file of the node."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str | None:
        """Return a file's text, or None where there is none."""
        try:
            return self.path(name).read_text()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str | None) -> None:
        """Put a file in place in one move, or remove it."""
        path = self.path(name)
        if text is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.isola")
        with beside.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def install(self, source: Path, name: str, sha512: str) -> bool:
        """Put a program in place and say if it was not there; one that runs keeps its file.

        Raises:
            RefusedError: What was copied is not what the image was built with.
        """
        path = self.path(name)
        if path.exists() and sha512_of(path) == sha512:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.isola")
        shutil.copyfile(source, beside)
        if sha512_of(beside) != sha512:
            beside.unlink()
            raise RefusedError(f"{source} does not have the SHA-512 of its build: {sha512}")
        beside.chmod(0o755)
        beside.replace(path)
        return True

    def run(self, *command: str, check: bool = True) -> str:
        """Return what a program of the node prints.

        Raises:
            RefusedError: It failed; the message is its own.
        """
        # In the namespaces of the node's first process its programs find its files, and systemd.
        done = subprocess.run(  # noqa: S603
            [*ENTER, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        if check and done.returncode:
            raise RefusedError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def dump(self, containerd: str, config: str) -> Mapping[str, Any]:
        """Return the configuration that containerd would start with.

        Raises:
            RefusedError: It would not.
        """
        return tomllib.loads(self.run(containerd, "--config", config, "config", "dump"))

    def active(self, unit: str) -> bool:
        """Say whether a unit of systemd runs."""
        return self.run("systemctl", "is-active", unit, check=False).strip() == "active"


def sha512_of(path: Path) -> str:
    """Return a file's SHA-512, in hexadecimal."""
    with path.open("rb") as file:
        return file_digest(file, "sha512").hexdigest()
