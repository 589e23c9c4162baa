"""What is done to every object with a log, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from isola_lifecycle.commands import (
    AddFinalizer,
    DeleteObject,
    KeepingCommand,
    RemoveFinalizer,
    RollOver,
    WarnOfLoss,
    WriteRecord,
)
from isola_lifecycle.seen import Seen
from isola_operator.archivist import Archivist
from isola_store.port import Store, T

W = TypeVar("W", bound=Seen)


@dataclass(frozen=True, slots=True)
class Keeper(Generic[T]):
    """Carries out what objects of every kind have in common.

    Args:
        store: Where the objects are.
        archivist: Keeps what they cannot.
    """

    store: Store[T]
    archivist: Archivist

    async def perform(self, item: T, command: KeepingCommand, seen: W) -> W:
        """Carry out a command and return what is seen after it."""
        match command:
            case AddFinalizer():
                await self.store.add_finalizer(item)
                return replace(seen, finalizer=True)
            case DeleteObject():
                await self.store.delete(item.name, uid=item.uid)
                return replace(seen, deleting=True)
            case RollOver():
                return await self.archivist.roll_over(item, seen)
            case WriteRecord():
                return await self.archivist.write_rest(item, seen)
            case WarnOfLoss(message):
                return await self.archivist.warn(item, message, seen)
            case RemoveFinalizer():
                await self.store.remove_finalizer(item)
                return replace(seen, finalizer=False)
