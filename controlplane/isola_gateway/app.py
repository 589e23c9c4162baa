"""The application: everything that answers a request, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from quart import Quart
from quart.routing import QuartRule

from isola_gateway import contract, contract_snapshots
from isola_gateway.admission import Admission, Limits
from isola_gateway.connection import Connection, GatewayRequest
from isola_gateway.egress import Replicas
from isola_gateway.enforcement import PATIENCE_SECONDS, Enforcement
from isola_gateway.kinds import SNAPSHOTS
from isola_gateway.lookup import Finder, Lookup
from isola_gateway.metrics import Metrics
from isola_gateway.ports import Access, SidecarTransport, View
from isola_gateway.problems import problem_response
from isola_gateway.proxy import Proxy
from isola_gateway.routes import docs, ui
from isola_gateway.routes.collection import PATIENCE, Collection
from isola_gateway.routes.commands import CommandRoutes
from isola_gateway.routes.entries import EntryRoutes
from isola_gateway.routes.files import FileRoutes
from isola_gateway.routes.history import HistoryRoutes
from isola_gateway.routes.network import NetworkRoutes
from isola_gateway.routes.operations import OperationRoutes
from isola_gateway.routes.records import RecordRoutes
from isola_gateway.routes.sandboxes import SandboxRoutes
from isola_gateway.routes.snapshots import SnapshotRoutes
from isola_gateway.settings import UNRELEASED
from isola_gateway.sockets import SocketConnection
from isola_store.lag import WatchLag
from isola_store.port import Logged, Sandbox, Snapshot


class _Rule(QuartRule):
    """A route for the methods that it names, and no others.

    A HEAD that comes with each GET would open streams that last for ever and show nothing.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # pyright: ignore[reportUnknownMemberType]
        if self.methods:
            self.methods.discard("HEAD")


class Gateway(Quart):
    """Quart without its opinions on HEAD."""

    request_class = GatewayRequest
    url_rule_class = _Rule


def create_app(  # noqa: PLR0913 - all that a gateway is wired to
    *,
    sandboxes: Access[Sandbox],
    snapshots: Access[Snapshot],
    sidecars: SidecarTransport,
    egress: Replicas,
    clock: Callable[[], datetime],
    release: str = UNRELEASED,
    admission: Admission | None = None,
    stopping: asyncio.Event | None = None,
    patience: timedelta = PATIENCE,
    enforcement_seconds: float = PATIENCE_SECONDS,
    with_ui: bool = True,
) -> Quart:
    """Return the gateway's application.

    Args:
        sandboxes: Where sandboxes are.
        snapshots: Where snapshots are.
        sidecars: What commands and files go to.
        egress: The replicas of the egress component.
        clock: Tells the time of log entries, UTC.
        release: What `/version` says.
        admission: How much is taken on at once.
        stopping: Set when the gateway is about to stop.
        patience: How long the answer about what was just created may wait for what it becomes.
        enforcement_seconds: How long the answer about a change of the network may wait for it.
        with_ui: Whether there is a page for people.
    """
    admission = admission or Admission(Limits(), Metrics())
    metrics = admission.metrics
    app = Gateway(__name__, static_folder=None)
    handler: Any = partial(Connection, admission)
    app.asgi_http_class = handler
    handler = partial(SocketConnection, admission, stopping or asyncio.Event())
    app.asgi_websocket_class = handler
    _configure(app)
    lookup = Lookup(sandboxes.view, sandboxes.store)
    finder = Finder(SNAPSHOTS, snapshots.view, snapshots.store)
    for view in (sandboxes.view, snapshots.view):
        _measure(view, WatchLag(clock, metrics.watch_lag.observe))
    proxy = Proxy(lookup, sidecars, admission)
    every_sandbox = Collection(sandboxes, lookup, clock, patience, admission)
    every_snapshot = Collection(snapshots, finder, clock, patience, admission)
    enforcement = Enforcement(lookup, every_sandbox.recorder, proxy, egress, enforcement_seconds)
    for routes in (
        NetworkRoutes(lookup, egress),
        SandboxRoutes(every_sandbox, enforcement),
        HistoryRoutes(contract.GET_HISTORY, every_sandbox),
        RecordRoutes((every_sandbox, every_snapshot)),
        SnapshotRoutes(every_snapshot),
        HistoryRoutes(contract_snapshots.GET_SNAPSHOT_HISTORY, every_snapshot),
        CommandRoutes(proxy),
        FileRoutes(proxy),
        EntryRoutes(proxy),
        OperationRoutes((sandboxes.view, snapshots.view), sandboxes.store, metrics, release),
    ):
        app.register_blueprint(routes.blueprint())
    app.register_blueprint(docs.blueprint())
    if with_ui:
        app.register_blueprint(ui.blueprint())
    app.register_error_handler(Exception, _answer)
    return app


def _measure(view: View[Logged], lag: WatchLag) -> None:
    view.subscribe(lambda name: lag.look(name, view.get(name)))


def _configure(app: Quart) -> None:
    # Uploads have no limit, JSON bodies the one of `binding`. Quart's time-outs, a minute each, are
    # not consulted: `binding` and `connection` limit how long a part may take, either way.
    app.config["MAX_CONTENT_LENGTH"] = None
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # A path that is almost right is wrong; clients take a redirect for success.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False


async def _answer(error: Exception) -> Any:
    return problem_response(error)
