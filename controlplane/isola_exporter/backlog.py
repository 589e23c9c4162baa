"""What is known of each life and not delivered yet. No input or output, and time is an argument.

Rules of this file
    - The log is the cursor: of a life that is seen for the first time, what is older than the
      window counts as delivered before, by this process or by the one before it. All else is
      delivered at least once.
    - Entries of one life are told in their order, without a gap, however they arrive: from the
      live object, or from its archive. Where a piece of the middle does not arrive, the life goes
      on without it after `PATIENCE`, and that is counted.
    - Nothing is forgotten before it is confirmed, so a copy that loses a deleted sandbox loses
      nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from isola_exporter.model import Item, Measurement
from isola_exporter.stories import Subject
from isola_exporter.telling import Telling, begun, told
from isola_lifecycle.log import Condition

# An archive's piece is written before the entries leave the object; it arrives a moment later.
PATIENCE = timedelta(seconds=30)

# Of one delivery: some 500 entries are half a megabyte.
BATCH_ENTRIES = 512


@dataclass(slots=True)
class Life:
    """A life that is not told to its end.

    Attributes:
        telling: What is confirmed.
        horizon: What the log shows to be older counts as delivered before.
        pending: Entries that are not, by sequence.
        waits_since: Since when a piece is missing, or None.
    """

    telling: Telling
    horizon: datetime
    pending: dict[int, Condition] = field(default_factory=dict[int, Condition])
    waits_since: datetime | None = None

    def ready(self) -> list[Condition]:
        """Return the entries that follow what is confirmed, without a gap."""
        entries: list[Condition] = []
        sequence = self.telling.sequence + 1
        while sequence in self.pending:
            entries.append(self.pending[sequence])
            sequence += 1
        return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is to be delivered next.

    Attributes:
        items: In the order in which they are to arrive.
        tellings: The lives as they are once it is delivered, by UID.
        entries: How many entries it tells.
    """

    items: tuple[Item, ...]
    tellings: Mapping[str, Telling]
    entries: int


class Backlog:
    """Lives with something to tell.

    Args:
        window: How far back the log is read for what may not have been delivered.
        started: When this process started: what was measured before that is not measured again.
    """

    def __init__(self, window: timedelta, started: datetime) -> None:
        self._window = window
        self._started = started
        self._lives: dict[str, Life] = {}
        self._waiting: dict[str, None] = {}  # lives that may have something to tell, in order
        self._over: dict[str, Telling] = {}  # told to their end
        self.pending = 0
        self.gaps = 0

    def learn(self, subject: Subject, entries: Iterable[Condition], *, now: datetime) -> None:
        """Take entries of a life, oldest first; those that are known already change nothing."""
        horizon = now - self._window
        entries = tuple(entries)
        life = self._life(subject, entries, horizon)
        if life is None:
            return
        for entry in entries:
            if entry.sequence > life.telling.sequence and entry.sequence not in life.pending:
                life.pending[entry.sequence] = entry
                self.pending += 1
        if life.pending:
            self._waiting.setdefault(subject.uid)

    def next(self, *, now: datetime) -> Batch | None:
        """Return what is to be delivered next, or None; nothing is gone before `confirm`."""
        items: list[Item] = []
        tellings: dict[str, Telling] = {}
        entries = 0
        for uid in list(self._waiting):
            life = self._lives[uid]
            ready = self._tellable(life, now)
            telling = life.telling
            for entry in ready:
                telling, more = told(telling, entry)
                items += self._fresh(life, telling, more)
            entries += len(ready)
            tellings[uid] = telling
            if entries >= BATCH_ENTRIES:
                break
        return Batch(items=tuple(items), tellings=tellings, entries=entries) if entries else None

    def confirm(self, batch: Batch) -> None:
        """Take note that a batch was delivered."""
        for uid, telling in batch.tellings.items():
            life = self._lives[uid]
            life.telling = telling
            done = [sequence for sequence in life.pending if sequence <= telling.sequence]
            for sequence in done:
                del life.pending[sequence]
            self.pending -= len(done)
            if life.pending:
                continue
            del self._waiting[uid]
            if telling.over:
                self._over[uid] = telling
                del self._lives[uid]

    def oldest(self) -> datetime | None:
        """Return the time of the oldest entry that waits, or None."""
        lives = (self._lives[uid] for uid in self._waiting)
        times = (e.last_transition_time for life in lives for e in life.pending.values())
        return min(times, default=None)

    def forget(self, present: Iterable[str], *, now: datetime) -> None:
        """Drop what nothing more will come of: lives that are over, or gone from the cluster.

        Args:
            present: UIDs of the objects that are there.
            now: Only what is older than the window is dropped: should an archive show it again,
                it counts as delivered.
        """
        horizon, there = now - self._window, set(present)
        self._over = {uid: t for uid, t in self._over.items() if t.at and t.at >= horizon}
        for uid, life in list(self._lives.items()):
            idle = life.telling.at is not None and life.telling.at < horizon
            if idle and not life.pending and uid not in there:
                del self._lives[uid]

    def _life(
        self, subject: Subject, entries: Sequence[Condition], horizon: datetime
    ) -> Life | None:
        """Return the life that entries belong to, or None where they change nothing."""
        uid = subject.uid
        if life := self._lives.get(uid):
            return life
        telling = self._over.get(uid)
        if telling is None:
            if _is_long_over(subject, entries, horizon):
                return None
            telling = begun(subject)
        elif not any(entry.sequence > telling.sequence for entry in entries):
            return None
        else:
            del self._over[uid]  # its archive was given up: that comes after the end
        life = self._lives[uid] = Life(telling, horizon)
        return life

    def _tellable(self, life: Life, now: datetime) -> list[Condition]:
        ready = life.ready()
        if ready or not life.pending:
            life.waits_since = None
            return ready
        life.waits_since = life.waits_since or now
        if now - life.waits_since < PATIENCE:
            return []
        self.gaps += 1
        life.telling = replace(life.telling, sequence=min(life.pending) - 1)
        return life.ready()

    def _fresh(self, life: Life, telling: Telling, items: tuple[Item, ...]) -> Iterable[Item]:
        at = telling.at or life.horizon
        if at < life.horizon:
            return ()
        if at < self._started:
            return (item for item in items if not isinstance(item, Measurement))
        return items


def _is_long_over(subject: Subject, entries: Sequence[Condition], horizon: datetime) -> bool:
    # Most of an archive: not worth the memory.
    if not entries or entries[-1].last_transition_time >= horizon:
        return False
    return subject.story.over(subject.story.projection.fold(entries))
