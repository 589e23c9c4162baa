"""What the component counts."""

from __future__ import annotations

from collections.abc import Callable

import dns.rcode
from prometheus_client import CollectorRegistry, Counter, Gauge

from isola_egress.refusals import Protocol, Refusal


class Metrics:
    """The component's metrics, in a registry of their own.

    Args:
        connections: Returns how many connections there are.
    """

    def __init__(self, connections: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._refusals = Counter(
            "isola_egress_refusals_total",
            "What sandboxes were refused.",
            ["reason", "protocol"],
            registry=self.registry,
        )
        self._queries = Counter(
            "isola_egress_queries_total",
            "DNS messages, by the code that they were answered with.",
            ["code"],
            registry=self.registry,
        )
        self._connections = Counter(
            "isola_egress_connections_total",
            "Connections that are over, by what came of them.",
            ["protocol", "outcome"],
            registry=self.registry,
        )
        Gauge(
            "isola_egress_open_connections", "Connections that are open.", registry=self.registry
        ).set_function(connections)

    def refused(self, refusal: Refusal) -> None:
        """Count a refusal."""
        self._refusals.labels(refusal.reason, refusal.protocol).inc()

    def answered(self, code: int) -> None:
        """Count an answer by its code; -1 for none."""
        self._queries.labels(
            dns.rcode.to_text(dns.rcode.Rcode(code)) if code >= 0 else "NONE"
        ).inc()

    def ended(self, protocol: Protocol, outcome: str) -> None:
        """Count a connection."""
        self._connections.labels(protocol, outcome).inc()
