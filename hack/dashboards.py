"""Write chart/files/dashboards/*.json, Grafana's dashboards, or check that they are current.

Usage: python3 hack/dashboards.py [--check]

A panel is a title, queries with their legends, a unit, and how it is drawn. `tests/monitoring`
asks each query of a real Prometheus that has scraped a real run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana import Dashboard, Panel, document

TARGET = Path(__file__).parents[1] / "chart" / "files" / "dashboards"
RATE = "[$__rate_interval]"


def quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Return queries for median and 95th percentile of a histogram."""
    labels, legend = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    rate = f"sum by ({labels}) (rate({metric}_bucket{RATE}))"
    return tuple(
        (f"histogram_quantile({q}, {rate})", f"{legend}p{round(q * 100)}") for q in (0.5, 0.95)
    )


def rates(metric: str, by: str, selector: str = "") -> tuple[tuple[str, str], ...]:
    """Return a query for a counter's rate by labels, without what does not happen.

    Every reason there is has a counter: a legend of all of them would hide the few that matter.
    """
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return ((f"sum by ({by}) (rate({metric}{selector}{RATE})) > 0", legend),)


def stat(title: str, query: str, unit: str = "short") -> Panel:
    """Return a panel with one number."""
    return Panel(title, ((query, ""),), unit, "stat")


STARTS = "isola_life_start_duration_seconds"
STEPS = "isola_life_step_duration_seconds"
BADLY = '{reason!~"Completed|LifetimeExceeded"}'
READY = "isola_sandbox_ready_duration_seconds"
REQUESTS = "isola_apigateway_http_requests_total"
COMMANDS = '{method="POST", path=~".*/commands"}'

DASHBOARDS = {
    "fleet": Dashboard(
        "Isola / Fleet",
        (
            stat("Sandboxes", "sum(max by (phase) (isola_sandboxes))"),
            stat("Running", 'max(isola_sandboxes{phase="Running"})'),
            stat("Created per minute", f"60 * sum(rate(isola_sandbox_created_total{RATE}))"),
            stat("Time to ready, p95", quantiles(READY)[1][0], "s"),
            Panel("By state", (("max by (phase) (isola_sandboxes)", "{{phase}}"),)),
            Panel("Outcomes", rates("isola_sandbox_ended_total", "reason"), "cps"),
            Panel("Time to ready", quantiles(READY), "s"),
            Panel(
                "Time in each state", quantiles("isola_life_state_duration_seconds", "state"), "s"
            ),
            Panel("Transitions", rates("isola_log_entries_total", "type"), "cps"),
            Panel("Whole lives", quantiles("isola_life_duration_seconds"), "s"),
        ),
    ),
    "sandbox": Dashboard(
        "Isola / One sandbox",
        (
            Panel("Its life", (("$trace", ""),), kind="traces", source="tempo"),
            Panel(
                "Its log",
                (('{service_name="isola"} | trace_id="$trace"', ""),),
                kind="logs",
                source="loki",
            ),
            Panel("For comparison: time to ready", quantiles(STARTS), "s"),
            Panel(
                "For comparison: time in each state",
                quantiles("isola_life_state_duration_seconds", "state"),
                "s",
            ),
        ),
        ("trace",),
    ),
    "starts": Dashboard(
        "Isola / Start latency",
        (
            stat("Median", quantiles(STARTS)[0][0], "s"),
            stat("p95", quantiles(STARTS)[1][0], "s"),
            stat(
                "Within a second",
                'sum(rate(isola_life_start_duration_seconds_bucket{le="1.0"}[$__range]))'
                " / sum(rate(isola_life_start_duration_seconds_count[$__range]))",
                "percentunit",
            ),
            stat(
                "Starts", "round(sum(increase(isola_life_start_duration_seconds_count[$__range])))"
            ),
            Panel("Each step", quantiles(STEPS, "step"), "s"),
            Panel(
                "Where the time goes",
                (
                    (
                        f"sum by (step) (rate({STEPS}_sum{RATE}))"  # noqa: ISC004 - one query
                        f" / on () group_left () sum(rate({STARTS}_count{RATE}))",
                        "{{step}}",
                    ),
                ),
                "s",
            ),
            Panel(
                "All starts, each dot a trace",
                (
                    (
                        f"sum by (le) (increase(isola_life_start_duration_seconds_bucket{RATE}))",
                        "{{le}}",
                    ),
                ),
                "s",
                "heatmap",
            ),
            Panel("As the operator counts it", quantiles(READY), "s"),
        ),
    ),
    "failures": Dashboard(
        "Isola / Failures",
        (
            stat(
                "Lives that ended badly",
                f"sum(increase(isola_sandbox_ended_total{BADLY}[$__range]))"
                " / sum(increase(isola_sandbox_ended_total[$__range]))",
                "percentunit",
            ),
            stat("Failed now", 'max(isola_sandboxes{phase="Failed"})'),
            stat(
                "Readiness lost",
                'round(sum(increase(isola_log_entries_total{reason="ReadinessLost"}[$__range])))'
                " or vector(0)",
            ),
            stat(
                "Server errors of the gateway",
                f'round(sum(increase({REQUESTS}{{code=~"5.."}}[$__range]))) or vector(0)',
            ),
            Panel(
                "Why sandboxes end",
                rates("isola_sandbox_ended_total", "reason", BADLY),
                "cps",
            ),
            Panel(
                "What stands in the way of a start",
                rates(
                    "isola_life_transitions_total",
                    "type, reason",
                    '{status="False", type!="Ready"}',
                ),
                "cps",
            ),
            Panel(
                "How containers end",
                rates("isola_life_transitions_total", "reason", '{type="ContainerExited"}'),
                "cps",
            ),
            Panel(
                "Requests refused or failed",
                rates(REQUESTS, "code, path", '{code=~"[45].."}'),
                "reqps",
            ),
        ),
    ),
    "control-plane": Dashboard(
        "Isola / Control plane",
        (
            stat("Operators", 'sum(up{job="operator"})'),
            stat("Gateways", 'sum(up{job="api-gateway"})'),
            stat(
                "Bytes of log per sandbox",
                "sum(isola_log_bytes_total) / sum(isola_sandbox_created_total)",
                "bytes",
            ),
            stat(
                "Status writes per sandbox",
                "sum(isola_log_writes_total) / sum(isola_sandbox_created_total)",
            ),
            Panel("Requests", rates(REQUESTS, "method, code"), "reqps"),
            Panel(
                "Duration of requests",
                quantiles("isola_apigateway_http_request_duration_seconds", "path"),
                "s",
            ),
            Panel(
                "Requests being answered", (("sum(isola_apigateway_http_requests_in_flight)", ""),)
            ),
            Panel(
                "Streams and connections",
                (
                    ("sum(isola_apigateway_streams)", "streams"),
                    ("sum(isola_apigateway_connections)", "connections"),
                ),
            ),
            Panel("Commands started", rates(REQUESTS, "code", COMMANDS), "reqps"),
            Panel(
                "Refused: too much under way",
                ((f"sum(rate(isola_apigateway_refused_total{RATE})) or vector(0)", "refused"),),
                "reqps",
            ),
            Panel(
                "Reconciliations", rates("isola_reconcile_duration_seconds_count", "result"), "ops"
            ),
            Panel(
                "Duration of reconciliations", quantiles("isola_reconcile_duration_seconds"), "s"
            ),
            Panel("Queue: waiting", (("max(isola_queue_depth)", "sandboxes"),)),
            Panel("Queue: age", (("max(isola_queue_age_seconds)", "next in line"),), "s"),
            Panel("Lag of the operator's watch", quantiles("isola_watch_lag_seconds"), "s"),
            Panel(
                "Lag of the gateway's watch", quantiles("isola_apigateway_watch_lag_seconds"), "s"
            ),
            Panel(
                "Exporter: behind by",
                (("max(isola_exporter_lag_seconds)", "oldest undelivered entry"),),
                "s",
            ),
            Panel("Exporter: waiting", (("max(isola_exporter_pending_entries)", "entries"),)),
            Panel(
                "Exporter: failed deliveries",
                ((f"rate(isola_exporter_failures_total{RATE})", "failed, and made again"),),
                "cps",
            ),
            Panel("Exporter: gaps", (("max(isola_exporter_gaps)", "pieces that never came"),)),
        ),
    ),
}


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    check = parser.parse_args().check
    for name, dashboard in DASHBOARDS.items():
        path = TARGET / f"{name}.json"
        text = json.dumps(document(name, dashboard), indent=2) + "\n"
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.stderr.write(f"{path.name} is not current: run python3 hack/dashboards.py\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
