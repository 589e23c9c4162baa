"""What lies on a node for a sandbox, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from isola_lifecycle import naming
from isola_mounter.folders import Folders

UID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "staged").mkdir()
    return Folders(tmp_path / "staged")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "ab.tar"
    path.write_bytes(b"archive")
    return path


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_an_archive_lies_where_the_pod_s_annotation_says(folders: Folders, archive: Path) -> None:
    folders.link(UID, "sandbox0", archive)
    path = Path(naming.archive_path(str(folders.root), UID, "sandbox0"))
    assert path == folders.root / UID / "sandbox0.tar"
    assert path.samefile(archive)
    assert folders.holds(UID, "sandbox0", archive)
    assert folders.known() == {UID}


def test_staging_again_is_staging_once(folders: Folders, archive: Path) -> None:
    for _ in range(2):
        folders.link(UID, "sandbox0", archive)
    assert archive.stat().st_nlink == 2
    assert names(folders.root / UID) == {"sandbox0.tar"}


def test_another_archive_takes_the_place_of_one(
    folders: Folders, archive: Path, tmp_path: Path
) -> None:
    other = tmp_path / "cd.tar"
    other.write_bytes(b"other")
    (folders.root / UID).mkdir()
    (folders.root / UID / "sandbox0.new").write_bytes(b"left by one who died")
    folders.link(UID, "sandbox0", archive)
    folders.link(UID, "sandbox0", other)
    assert (folders.holds(UID, "sandbox0", archive), archive.stat().st_nlink) == (False, 1)
    assert folders.holds(UID, "sandbox0", other)
    assert names(folders.root / UID) == {"sandbox0.tar"}


def test_an_archive_that_is_gone_is_held_by_nobody(folders: Folders, archive: Path) -> None:
    assert not folders.holds(UID, "sandbox0", archive)
    folders.link(UID, "sandbox0", archive)
    archive.unlink()
    assert not folders.holds(UID, "sandbox0", archive)


def test_the_gate_sees_a_mark_and_never_an_archive(folders: Folders, archive: Path) -> None:
    folders.link(UID, "sandbox0", archive)
    gate = Path(naming.gate_path(str(folders.root), UID))
    assert not folders.marked(UID)
    for _ in range(2):
        folders.mark(UID)
    assert folders.marked(UID)
    assert names(gate) == {naming.STAGED_MARK}
    assert gate.parent == folders.root / UID


def test_the_kubelet_may_have_made_the_folder_of_the_gate(folders: Folders, archive: Path) -> None:
    gate = Path(naming.gate_path(str(folders.root), UID))
    gate.mkdir(parents=True)
    folders.link(UID, "sandbox0", archive)
    folders.mark(UID)
    assert names(gate) == {naming.STAGED_MARK}


def test_once_it_has_started_its_archives_go_and_the_mark_stays(
    folders: Folders, archive: Path
) -> None:
    folders.link(UID, "sandbox0", archive)
    folders.mark(UID)
    assert folders.release(UID) == 1
    assert folders.release(UID) == 0
    assert folders.marked(UID)
    assert archive.stat().st_nlink == 1


def test_nothing_is_left_of_one_that_is_gone(folders: Folders, archive: Path) -> None:
    folders.link(UID, "sandbox0", archive)
    folders.mark(UID)
    assert folders.remove(UID) is True
    assert folders.remove(UID) is False
    assert folders.known() == set()
    assert archive.exists()
    assert folders.release(UID) == 0
