"""Every query of the dashboards and every alert, on a real Prometheus that scraped a real run: all
three components as processes, on a real API server, while sandboxes start, fail and end. What is no
Prometheus' query is asked of what the exporter sent to a real collector meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from isola_lifecycle.errors import LifecycleError
from isola_store.client import KubernetesClient
from support.collector import Collector, attributes
from support.kubelet import Kubelet
from support.kubernetes_server import NAMESPACE, ApiServer, free_port
from support.logql import select
from support.prometheus import Prometheus, scraping
from support.toolchain import ROOT

pytestmark = pytest.mark.apiserver

DASHBOARDS = sorted((ROOT / "chart" / "files" / "dashboards").glob("*.json"))
ALERTS = ROOT / "chart" / "files" / "alerts.yaml"


def queries(source: str = "prometheus", field: str = "expr") -> Iterator[Any]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == source:
                    name = f"{path.stem}: {panel['title']} ({target['refId']})"
                    yield pytest.param(target[field], id=name)


@contextmanager
def process(module: str, log: Path, **environment: str) -> Generator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, "ISOLA_SANDBOX_NAMESPACE": NAMESPACE, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        yield started
    finally:
        started.terminate()
        started.wait(40)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    made = Collector(tmp_path_factory.mktemp("collector"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def prometheus(
    api_server: ApiServer, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("monitoring")
    operator, gateway, exporter = (free_port() for _ in range(3))
    kubeconfig = str(api_server.kubeconfig)
    jobs = {"operator": operator, "api-gateway": gateway, "exporter": exporter}
    with ExitStack() as stack:
        stack.enter_context(
            process(
                "isola_operator",
                folder / "operator.log",
                ISOLA_KUBECONFIG=kubeconfig,
                ISOLA_SANDBOX_SIDECAR_IMAGE="sidecar:1",
                ISOLA_METRICS_PORT=str(operator),
                ISOLA_HEALTH_PORT=str(free_port()),
            )
        )
        stack.enter_context(
            process(
                "isola_gateway",
                folder / "gateway.log",
                KUBECONFIG=kubeconfig,
                ISOLA_HTTP_PORT=str(gateway),
            )
        )
        stack.enter_context(
            process(
                "isola_exporter",
                folder / "exporter.log",
                ISOLA_KUBECONFIG=kubeconfig,
                ISOLA_METRICS_PORT=str(exporter),
                ISOLA_HEALTH_PORT=str(free_port()),
                OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
                OTEL_METRICS_EXPORTER="none",
            )
        )
        made = stack.enter_context(scraping(folder, jobs, [ALERTS]))
        until(lambda: len(made.query("up == 1")) == 3)
        asyncio.run(usual_day(kubeconfig, f"http://127.0.0.1:{gateway}/v1/sandboxes"))
        until(lambda: _sum(made, "isola_life_duration_seconds_count") >= 3)
        until(lambda: _sum(made, 'isola_life_transitions_total{reason="ImagePullFailed"}') >= 1)
        yield made


def _sum(made: Prometheus, expression: str) -> float:
    found = made.query(f"sum({expression})")
    return float(found[0]["value"][1]) if found else 0


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.2)


async def usual_day(kubeconfig: str, url: str) -> None:
    """Let sandboxes start, fail to start, end by themselves and be deleted."""
    async with (
        await KubernetesClient.connect(kubeconfig) as client,
        aiohttp.ClientSession() as session,
    ):
        kubelet = Kubelet(client)
        await kubelet.prepare()
        for end in ("deleted", "exited", "failed", "stuck"):
            asked = {"podTemplate": {"containers": [{"image": "i"}]}}
            async with session.post(url, json=asked) as answer:
                name = (await answer.json())["id"]
            await _retried(kubelet.stuck if end == "stuck" else kubelet.start, name)
            if end == "stuck":
                await _status(session, f"{url}/{name}", "Pending")
            else:
                await _status(session, f"{url}/{name}", "Running")
            async with session.post(f"{url}/{name}/commands", json={"args": ["true"]}) as answer:
                assert answer.status >= 400  # there is no sidecar at that address
            if end in {"exited", "failed"}:
                await kubelet.exit(name, int(end == "failed"))
                outcome = "Failed" if end == "failed" else "Succeeded"
                await _status(session, f"{url}/{name}", outcome)
            await asyncio.sleep(1.5)  # so that Prometheus sees it before and after
            async with session.delete(f"{url}/{name}") as answer:
                assert answer.status == 204
            await _retried(kubelet.remove, name)


async def _retried(step: Callable[[str], Any], name: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await step(name)
            except LifecycleError:
                await asyncio.sleep(0.05)


async def _status(session: aiohttp.ClientSession, url: str, status: str) -> None:
    async with asyncio.timeout(20):
        while True:
            async with session.get(url) as answer:
                if (await answer.json())["status"] == status:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("query", list(queries()))
def test_a_panel_shows_data(prometheus: Prometheus, query: str) -> None:
    query = query.replace("$__rate_interval", "1m").replace("$__range", "5m")
    series = prometheus.query(query)
    assert series
    assert any(each["value"][1] != "NaN" for each in series), series


@pytest.fixture(scope="module")
def sandbox(prometheus: Prometheus, collector: Collector) -> str:  # noqa: ARG001 - the day is over
    """The UID of a sandbox that is gone, of which everything has arrived."""

    def lives() -> list[str]:
        spans = (attributes(s) | {"name": s["name"]} for s in collector.spans())
        return [str(s["isola.sandbox.uid"]) for s in spans if s["name"] == "sandbox"]

    until(lambda: len(lives()) >= 3)
    return lives()[0]


def as_entered(query: str, sandbox: str) -> str:
    """Return a query after somebody has entered what the dashboard's text box asks for."""
    return query.replace("$trace", sandbox.replace("-", ""))


@pytest.mark.parametrize("query", list(queries("tempo", "query")))
def test_the_trace_that_a_panel_asks_for_is_the_life(
    collector: Collector, sandbox: str, query: str
) -> None:
    asked = as_entered(query, sandbox)
    # A query that is hexadecimal and nothing else is, to Grafana, the id of a trace for Tempo.
    assert re.fullmatch("[0-9a-f]{32}", asked)
    spans = list({span["spanId"]: span for span in collector.spans()}.values())
    found = [span for span in spans if span["traceId"] == asked]
    assert len({span["traceId"] for span in spans}) >= 3
    assert found == [s for s in spans if attributes(s)["isola.sandbox.uid"] == sandbox]
    assert {"sandbox", "Pending", "Running", "Terminating"} <= {span["name"] for span in found}
    ids = {span["spanId"] for span in found}
    assert [s["name"] for s in found if s.get("parentSpanId", "") not in ids] == ["sandbox"]


@pytest.mark.parametrize("query", list(queries("loki")))
def test_the_lines_that_a_panel_asks_for_are_the_log(
    collector: Collector, sandbox: str, query: str
) -> None:
    selected = map(attributes, select(as_entered(query, sandbox), collector.logs()))
    found = {(told["isola.sandbox.uid"], told["isola.sequence"]): told for told in selected}
    assert found
    assert list(found) == [(sandbox, number) for number in range(1, len(found) + 1)]
    types = [told["isola.type"] for told in found.values()]
    assert (types[0], types[-1]) == ("Accepted", "Terminated")


def test_starts_are_dots_that_lead_to_traces(prometheus: Prometheus) -> None:
    now = time.time()
    found = prometheus.ask(
        "query_exemplars",
        query="isola_life_start_duration_seconds_bucket",
        start=str(now - 300),
        end=str(now),
    )
    traces = [e["labels"]["trace_id"] for series in found for e in series["exemplars"]]
    assert traces
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)


def test_prometheus_takes_every_alert_and_none_fires_on_a_usual_day(
    prometheus: Prometheus,
) -> None:
    (group,) = prometheus.ask("rules")["groups"]
    assert len(group["rules"]) >= 9
    for rule in group["rules"]:
        assert rule["health"] == "ok", rule["lastError"]
        assert rule["state"] != "firing", rule["name"]
        assert rule["annotations"]["description"]
        assert rule["annotations"]["summary"]


def test_every_metric_that_an_alert_asks_for_exists(prometheus: Prometheus) -> None:
    (group,) = prometheus.ask("rules")["groups"]
    for rule in group["rules"]:
        for metric in set(re.findall(r"isola_[a-z_]+", rule["query"])):
            assert prometheus.query(metric), (rule["name"], metric)


def test_an_alert_would_fire_where_a_component_is_gone(prometheus: Prometheus) -> None:
    (group,) = prometheus.ask("rules")["groups"]
    down = next(rule["query"] for rule in group["rules"] if rule["name"] == "IsolaOperatorDown")
    assert prometheus.query(down) == []
    assert prometheus.query(down.replace('"operator"', '"nobody"'))


def test_the_dashboards_are_what_their_definition_says() -> None:
    script = ROOT / "hack" / "dashboards.py"
    subprocess.run([sys.executable, script, "--check"], check=True)
