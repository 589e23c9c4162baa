"""A real OpenTelemetry collector, which writes what it receives to a file."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.kubernetes_server import free_port
from support.toolchain import binaries

SPAN, RECORD, METRIC = "spans", "logRecords", "metrics"
_PARTS = (
    ("resourceSpans", "scopeSpans", SPAN),
    ("resourceLogs", "scopeLogs", RECORD),
    ("resourceMetrics", "scopeMetrics", METRIC),
)


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
    _read: int = 0

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
        if self._received.exists() and not self._received.read_bytes().endswith(b"\n"):
            with self._received.open("ab") as file:
                file.write(b"\n")  # it was killed in the middle of a line: what follows is another
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
        return (item for kind, item in self._items(self._messages(0)) if kind == SPAN)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield every log record received, likewise."""
        return (item for kind, item in self._items(self._messages(0)) if kind == RECORD)

    def logs(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield every log record received with the resource that it came from, likewise."""
        for message in self._messages(0):
            for whole in message.get("resourceLogs", ()):
                for scope in whole["scopeLogs"]:
                    yield from ((whole["resource"], record) for record in scope[RECORD])

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Yield every metric received, likewise."""
        return (item for kind, item in self._items(self._messages(0)) if kind == METRIC)

    def news(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what was received since this was last asked, with its kind."""
        return self._items(self._messages(self._read))

    def _items(self, messages: Iterator[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for message in messages:
            for whole, part, kind in _PARTS:
                for resource in message.get(whole, ()):
                    for scope in resource[part]:
                        yield from ((kind, item) for item in scope[kind])

    def _messages(self, position: int) -> Iterator[dict[str, Any]]:
        if not self._received.exists():
            return
        with self._received.open("rb") as file:
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                position += len(line)
                try:
                    message = json.loads(line)
                except ValueError:
                    continue  # it was killed while it wrote this, and so did not answer
                yield message
        self._read = max(self._read, position)

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


def attributes(item: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the attributes of a span or record in OTLP's JSON."""
    values = ((each["key"], each["value"]) for each in item.get("attributes", ()))
    return {key: int(v["intValue"]) if "intValue" in v else v["stringValue"] for key, v in values}
