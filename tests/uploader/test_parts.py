"""How a file is divided, and that it is the file that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isola_bucket.port import MOST_PARTS, SMALLEST_PART_BYTES
from isola_uploader.parts import ChangedError, Plan, read
from uploader.scene import noise, sha256

TERABYTE = 10**12


@given(total=st.integers(1, 5 * TERABYTE))
def test_every_service_takes_the_parts_of_any_file(total: int) -> None:
    plan = Plan(total)
    assert 1 <= plan.count <= MOST_PARTS
    assert plan.part_bytes >= SMALLEST_PART_BYTES
    assert 1 <= plan.size_of(plan.count) <= plan.part_bytes
    assert (plan.count - 1) * plan.part_bytes + plan.size_of(plan.count) == total


async def test_the_parts_are_the_file(tmp_path: Path) -> None:
    path, content = tmp_path / "file", noise(25_000)
    path.write_bytes(content)
    plan = Plan(len(content), 10_000)
    found = [part async for part in read(path, plan, sha256=sha256(content))]
    assert [number for number, _ in found] == [1, 2, 3]
    assert b"".join(body for _, body in found) == content
    assert [len(body) for _, body in found] == [plan.size_of(number) for number in (1, 2, 3)]


async def test_a_file_that_changed_is_refused_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"other")
    with pytest.raises(ChangedError):
        _ = [part async for part in read(path, Plan(5), sha256=sha256(b"wantd"))]
