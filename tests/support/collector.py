"""A real OpenTelemetry collector, which writes what it receives to a file."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.kubernetes_server import free_port
from support.toolchain import binaries


@dataclass
class Collector:
    """A collector that can be killed and started again; its file goes on.

    Attributes:
        folder: Where its files are.
        port: Where it takes OTLP over HTTP.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Return what `OTEL_EXPORTER_OTLP_ENDPOINT` should be."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def received_bytes(self) -> int:
        """Return how much it has written down so far, in OTLP's JSON."""
        return self._received.stat().st_size if self._received.exists() else 0

    @property
    def _received(self) -> Path:
        return self.folder / "received.jsonl"

    def start(self) -> None:
        """Start it, and return when it takes requests."""
        pipeline = {"receivers": ["otlp"], "exporters": ["file"]}
        configuration: dict[str, Any] = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "exporters": {
                # With rotation the exporter writes without a buffer. One that buffers and is killed
                # has lost what it said it had taken.
                "file": {"path": str(self._received), "rotation": {"max_megabytes": 1000}}
            },
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": pipeline, "logs": pipeline, "metrics": pipeline},
            },
        }
        settings = self.folder / "otelcol.json"  # JSON is YAML
        settings.write_text(json.dumps(configuration))
        with (self.folder / "otelcol.log").open("ab") as log:
            program = binaries("otelcol") / "otelcol"
            self.process = subprocess.Popen(
                [program, "--config", f"file:{settings}"], stdout=log, stderr=log, env=os.environ
            )
        self._wait()

    def kill(self) -> None:
        """End it without a warning."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def spans(self) -> Iterator[dict[str, Any]]:
        """Yield every span received, in order, in OTLP's JSON."""
        for message in self._messages("resourceSpans"):
            for scope in message["scopeSpans"]:
                yield from scope["spans"]

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield every log record received, likewise."""
        for message in self._messages("resourceLogs"):
            for scope in message["scopeLogs"]:
                yield from scope["logRecords"]

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Yield every metric received, likewise."""
        for message in self._messages("resourceMetrics"):
            for scope in message["scopeMetrics"]:
                yield from scope["metrics"]

    def _messages(self, kind: str) -> Iterator[dict[str, Any]]:
        if not self._received.exists():
            return
        for line in self._received.read_text().splitlines():
            try:
                message = json.loads(line)
            except ValueError:
                continue  # it was killed while it wrote this, and so did not answer
            yield from message.get(kind, ())

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.endpoint}/v1/traces", timeout=2)
            except urllib.error.HTTPError:
                return  # it is there, and wants a POST
            except OSError:
                time.sleep(0.05)
        raise RuntimeError((self.folder / "otelcol.log").read_text()[-3000:])


def attributes(item: dict[str, Any]) -> dict[str, str | int]:
    """Return the attributes of a span or record in OTLP's JSON."""
    values = ((each["key"], each["value"]) for each in item.get("attributes", ()))
    return {key: int(v["intValue"]) if "intValue" in v else v["stringValue"] for key, v in values}
