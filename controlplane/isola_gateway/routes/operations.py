"""Probes, version and counts."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Collection
from http import HTTPStatus

from quart import Blueprint, Response

from isola_gateway import contract
from isola_gateway.binding import Given, mount
from isola_gateway.metrics import CONTENT_TYPE, Metrics
from isola_gateway.ports import View, Writer
from isola_gateway.routes.answers import model_answer
from isola_lifecycle.errors import LifecycleError, NotFoundError
from isola_rest.models import Health, Version
from isola_rest.problem import ProblemError
from isola_store.port import Logged

# No sandbox can have it: ids of the REST API are 22 characters, and people choose better names.
_PROBE = "isola-readiness-probe"
_PROBE_SECONDS = 3


class OperationRoutes:
    """Views for those who run it.

    Args:
        views: Must be in sync for the gateway to be ready.
        store: Must answer.
        metrics: What is shown.
        release: What is running.
    """

    def __init__(
        self,
        views: Collection[View[Logged]],
        store: Writer[Logged],
        metrics: Metrics,
        release: str,
    ) -> None:
        self._views = views
        self._store = store
        self._metrics = metrics
        self._release = release

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = (
            (contract.HEALTH, self.health),
            (contract.HEALTHZ, self.health),
            (contract.READY, self.ready),
            (contract.READYZ, self.ready),
            (contract.VERSION, self.version),
            (contract.METRICS, self.metrics),
        )
        return mount(Blueprint("operations", __name__), views)

    async def health(self, _: Given) -> Response:
        """Say that the process lives."""
        return model_answer(Health())

    async def ready(self, _: Given) -> Response:
        """Say whether reads and writes would work."""
        if not all(view.synced for view in self._views):
            raise _unready("The lists of sandboxes and snapshots have not arrived yet")
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._store.read(_PROBE)
        except NotFoundError:
            pass  # an answer, and the cheapest there is
        except (LifecycleError, TimeoutError) as error:
            raise _unready("The Kubernetes API does not answer") from error
        return model_answer(Health())

    async def version(self, _: Given) -> Response:
        """Say what is running."""
        running = Version(
            git_version=self._release,
            go_version=f"python{platform.python_version()}",
            platform=f"{platform.system().lower()}/{platform.machine()}",
        )
        return model_answer(running)

    async def metrics(self, _: Given) -> Response:
        """Show all counts."""
        return Response(self._metrics.exposition(), content_type=CONTENT_TYPE)


def _unready(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail)
