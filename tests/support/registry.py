"""A registry of OCI artifacts, as a process on loopback, and Helm charts in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.kubernetes_server import free_port
from support.toolchain import binaries

CONFIGURATION = """\
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: %s}}
http: {addr: "127.0.0.1:%d"}
"""


@dataclass(frozen=True)
class Registry:
    """A registry, and a Helm that speaks to it.

    Attributes:
        address: Host and port.
        folder: Where packages and Helm's own state are.
    """

    address: str
    folder: Path

    @property
    def chart(self) -> str:
        """Return the reference of Isola's chart, without a version."""
        return f"oci://{self.address}/charts/isola"

    def push(self, chart: Path) -> None:
        """Package a chart's folder and push it."""
        packages = self.folder / "packages"
        shutil.rmtree(packages, ignore_errors=True)
        self.helm("package", str(chart), "--destination", str(packages))
        (package,) = packages.glob("*.tgz")
        self.helm("push", str(package), f"oci://{self.address}/charts", "--plain-http")

    def helm(
        self, *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = ""
    ) -> str:
        """Return what Helm prints.

        Raises:
            RuntimeError: It failed; the message is what it said.
        """
        state = {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG")}
        done = subprocess.run(
            [binaries("helm") / "helm", *arguments],
            env={**os.environ, **state, **(environment or {})},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode:
            raise RuntimeError(f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout


@contextmanager
def registry(folder: Path) -> Generator[Registry]:
    """Yield the registry of the distribution project."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    configuration = folder / "configuration.yaml"
    configuration.write_text(CONFIGURATION % (folder / "content", port))
    command = [binaries("registry") / "registry", "serve", configuration]
    with _running(command, folder / "registry.log", f"http://127.0.0.1:{port}/v2/"):
        yield Registry(f"127.0.0.1:{port}", folder)


@contextmanager
def _running(command: Sequence[str | Path], log: Path, url: str) -> Generator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(log.read_text()[-3000:])
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False
