"""What is staged on this node: a folder for each sandbox that starts from snapshots.

    <root>/<sandbox uid>/<container>.tar    what gVisor reads, as root on the node: a hard link
    <root>/<sandbox uid>/gate/staged        the mark for which the sandbox's gate waits

A sandbox's gate has the folder `gate` mounted, and nothing else of all this is in any container.
Paths are `isola_lifecycle.naming`'s, which the operator writes into pods.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from isola_lifecycle import naming

# Of an archive: gVisor reads it as root, and nobody writes to it ever again.
ARCHIVE_MODE = 0o400
_MARK_MODE = 0o444


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of all sandboxes.

    Attributes:
        root: Where they are; on the file system of the cache.
    """

    root: Path

    def known(self) -> frozenset[str]:
        """Return the UIDs of the sandboxes that have a folder."""
        return frozenset(each.name for each in self.root.iterdir() if each.is_dir())

    def link(self, uid: str, container: str, archive: Path) -> None:
        """Make an archive of the cache the one that a container starts from, in one move."""
        target = self._archive(uid, container)
        target.parent.mkdir(mode=0o755, exist_ok=True)
        if self.holds(uid, container, archive):
            return
        draft = target.with_suffix(".new")
        draft.unlink(missing_ok=True)
        os.link(archive, draft)
        draft.replace(target)
        sync(target.parent)

    def holds(self, uid: str, container: str, archive: Path) -> bool:
        """Return whether a container starts from this very archive."""
        target = self._archive(uid, container)
        return target.exists() and archive.exists() and target.samefile(archive)

    def mark(self, uid: str) -> None:
        """Let the sandbox's gate open."""
        gate = Path(naming.gate_path(str(self.root), uid))
        gate.mkdir(mode=0o755, parents=True, exist_ok=True)
        mark = gate / naming.STAGED_MARK
        mark.touch(mode=_MARK_MODE)
        sync(gate)

    def marked(self, uid: str) -> bool:
        """Return whether the sandbox's gate was opened."""
        return (Path(naming.gate_path(str(self.root), uid)) / naming.STAGED_MARK).exists()

    def release(self, uid: str) -> int:
        """Let go of the archives of a sandbox that has started; return how many there were."""
        archives = [each for each in self._folder(uid).glob("*") if each.is_file()]
        for each in archives:
            each.unlink(missing_ok=True)
        return len(archives)

    def remove(self, uid: str) -> bool:
        """Remove all that was staged for a sandbox; return whether there was anything."""
        folder = self._folder(uid)
        there = folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        return there

    def _folder(self, uid: str) -> Path:
        return Path(naming.staging_folder(str(self.root), uid))

    def _archive(self, uid: str, container: str) -> Path:
        return Path(naming.archive_path(str(self.root), uid, container))


def sync(folder: Path) -> None:
    """Have the disk keep which files are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
