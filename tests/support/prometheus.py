"""A real Prometheus, which scrapes what a test tells it to."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.kubernetes_server import free_port
from support.toolchain import binaries


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus.

    Attributes:
        url: Its address.
    """

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression gives now.

        Raises:
            ValueError: It does not parse.
        """
        return self.ask("query", query=expression)["result"]

    def ask(self, what: str, **parameters: str) -> Any:
        """Return the `data` of an answer of the API."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from error


@contextmanager
def scraping(
    folder: Path, targets: Mapping[str, int], rules: Sequence[Path] = ()
) -> Generator[Prometheus]:
    """Yield a Prometheus that scrapes these jobs on these ports of this machine."""
    port = free_port()
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
            for job, target in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binaries("prometheus") / "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=output,
            stderr=output,
        )
    made = Prometheus(f"http://127.0.0.1:{port}")
    try:
        _wait(made, log)
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _wait(made: Prometheus, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{made.url}/-/ready", timeout=5)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(log.read_text()[-3000:])
