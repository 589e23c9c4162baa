"""The exporter as a process: what the collector has of a life is its log."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.scene import TRACEPARENT, Exporter, Scene, assert_told
from isola_exporter.model import Ids, Kind

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]


async def test_a_life_is_a_trace_whose_spans_are_its_states_and_whose_records_are_its_log(
    scene: Scene,
) -> None:
    await scene.exporting()
    sandbox = await scene.create()
    await scene.live(sandbox)
    life = Ids(sandbox.uid).span(Kind.LIFE, 1)
    await scene.until(lambda: life in scene.spans(sandbox.uid))
    assert_told(scene, sandbox)
    assert [s["name"] for s in scene.spans(sandbox.uid).values()] == [
        "create pod",
        "schedule",
        "start containers",
        "become ready",
        "Pending",
        "Running",
        "Terminating",
        "sandbox",
    ]
    traced = {link["traceId"] for link in scene.spans(sandbox.uid)[life]["links"]}
    assert traced == {TRACEPARENT.split("-")[1]}


async def test_metrics_are_scraped_with_exemplars_and_exported(scene: Scene) -> None:
    await scene.exporting()
    sandbox = await scene.create()
    await scene.live(sandbox)
    trace = f"{Ids(sandbox.uid).trace:032x}"

    def scraped() -> str:
        return scene.exporter.scraped("application/openmetrics-text")

    await scene.until(lambda: "isola_life_duration_seconds_count 1.0" in scraped())
    lines = scraped().splitlines()
    starts = [li for li in lines if li.startswith("isola_life_start_duration_seconds_bucket{")]
    assert any(trace in line for line in starts)
    ready = 'isola_life_transitions_total{reason="PodReady",status="True",type="Ready"} 1.0'
    assert any(line.startswith(ready) for line in lines)
    assert any(line.startswith('isola_life_current{state="Running"}') for line in lines)

    def exported() -> Iterator[dict[str, Any]]:
        for metric in scene.collector.metrics():
            if metric["name"] == "isola.life.start.duration":
                yield from metric["histogram"]["dataPoints"]

    await scene.until(lambda: any(exported()))
    exemplars = [e for point in exported() for e in point.get("exemplars", ())]
    assert {e["traceId"] for e in exemplars} == {trace}


async def test_probes_tell_when_it_follows(scene: Scene) -> None:
    await scene.exporting()
    assert "ok" in scene.exporter.get("/healthz", "ISOLA_HEALTH_PORT")


async def test_what_is_known_is_delivered_before_it_stops(scene: Scene) -> None:
    await scene.exporting()
    await scene.until(lambda: "isola_exporter_pending_entries 0.0" in scene.exporter.scraped())
    scene.collector.kill()
    sandbox = await scene.create()
    await scene.live(sandbox)
    await scene.until(lambda: "isola_exporter_pending_entries 9.0" in scene.exporter.scraped())
    scene.collector.start()
    assert await asyncio.to_thread(scene.exporter.end) == 0
    assert_told(scene, sandbox)


async def test_a_start_tells_what_happened_while_it_was_away(scene: Scene) -> None:
    sandbox = await scene.create()
    await scene.recorded(sandbox, "PodCreated")
    await scene.kubelet.start(sandbox.name)
    await scene.recorded(sandbox, "Ready")
    scene.exporter.start()
    await scene.until(lambda: scene.told(sandbox.uid) == list(scene.logs[sandbox.uid]))


async def test_a_life_that_came_and_went_while_it_was_away_is_told_from_the_archive(
    scene: Scene,
) -> None:
    sandbox = await scene.create()
    await scene.live(sandbox, flaps=25)
    await scene.until(lambda: sandbox.uid in scene.gone)
    scene.exporter.start()
    life = Ids(sandbox.uid).span(Kind.LIFE, 1)
    await scene.until(lambda: life in scene.spans(sandbox.uid))
    assert len(scene.logs[sandbox.uid]) > 50
    assert_told(scene, sandbox)


def test_a_missing_setting_is_named(exporter: Exporter) -> None:
    environment = {**exporter.environment, "ISOLA_SANDBOX_NAMESPACE": ""}
    done = subprocess.run(
        [sys.executable, "-m", "isola_exporter"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "ISOLA_SANDBOX_NAMESPACE" in done.stderr
