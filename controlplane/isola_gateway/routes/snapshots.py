"""`/v1/rootfs-snapshots`: root file systems that are kept, and what has become of that."""

from __future__ import annotations

from http import HTTPStatus

from quart import Blueprint, Response

from isola_gateway import contract_snapshots as contract
from isola_gateway.binding import Given, mount
from isola_gateway.mapping_snapshots import snapshot_name_of, spec_of
from isola_gateway.routes.answers import no_content
from isola_gateway.routes.collection import Collection
from isola_lifecycle.errors import NotFoundError
from isola_lifecycle.snapshot.fold import fold
from isola_lifecycle.snapshot.intents import leaves_object
from isola_lifecycle.snapshot.state import State
from isola_rest.problem import ProblemError
from isola_rest.snapshots import CreateRootfsSnapshotRequest
from isola_store.port import Snapshot


class SnapshotRoutes:
    """Views of snapshots.

    Args:
        snapshots: All of them.
    """

    def __init__(self, snapshots: Collection[Snapshot]) -> None:
        self._snapshots = snapshots

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        views = (
            (contract.CREATE_SNAPSHOT, self.create),
            (contract.LIST_SNAPSHOTS, self.list),
            (contract.GET_SNAPSHOT, self.get),
            (contract.DELETE_SNAPSHOT, self.delete),
        )
        return mount(Blueprint("snapshots", __name__), views)

    async def create(self, given: Given) -> Response:
        """Create a RootfsSnapshot; operator and uploader do the rest."""
        asked = await given.json(CreateRootfsSnapshotRequest)
        name = self._snapshots.name_for(given)
        if not asked.replace:
            await self._refuse_taken(snapshot_name_of(asked), name)
        return await self._snapshots.create(given, name, spec_of(asked), asked)

    async def _refuse_taken(self, snapshot_name: str, own: str) -> None:
        """Refuse a name that another snapshot holds.

        As far as the copy of the snapshots tells. Of two requests at once both may pass: the
        operator takes one of them on, and the log of the other says `NameTaken`.
        """
        for other in self._snapshots.access.view.list():
            if other.name == own or other.snapshot_name != snapshot_name:
                continue
            state = fold(other.log)
            if state.holds_name and not await self._is_there(own):
                message = (
                    f"The name {snapshot_name} is taken by rootfs snapshot {other.name}, which is"
                    f" {state.phase}: choose another snapshotName, or send replace: true"
                )
                raise ProblemError(HTTPStatus.CONFLICT, message)

    async def _is_there(self, name: str) -> bool:
        # A request that is repeated under its key is answered as the first one was, whoever has
        # the name by now.
        try:
            await self._snapshots.access.store.read(name)
        except NotFoundError:
            return False
        return True

    async def list(self, given: Given) -> Response:
        """Show all snapshots, or those that the client chooses, oldest first; or follow them."""
        chosen = {"sandbox_id": given.get("sandboxId"), "snapshot_name": given.get("snapshotName")}
        return self._snapshots.list(given, {name: text for name, text in chosen.items() if text})

    async def get(self, given: Given) -> Response:
        """Show one, waiting a little for its end unless it is told how long to wait."""
        return await self._snapshots.get(given)

    async def delete(self, given: Given) -> Response:
        """Record who wants it gone, with what is stored of it, then mark it for deletion."""
        snapshot = await self._snapshots.delete(given)
        state = fold(snapshot.log) if snapshot else await self._last_known(given["id"])
        if leaves_object(state, self._snapshots.now()):
            key = state.stored.key if state.stored else ""
            message = (
                f"Rootfs snapshot {given['id']} goes, or is gone, and what it stored stays: remove"
                f" {key} from the bucket, where it is still wanted gone"
            )
            raise ProblemError(HTTPStatus.CONFLICT, message)
        return no_content()

    async def _last_known(self, name: str) -> State:
        try:
            return fold((await self._snapshots.histories.find(name)).entries)
        except ProblemError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return State()
            raise
