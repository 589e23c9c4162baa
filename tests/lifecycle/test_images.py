"""Which references mean the same image."""

from __future__ import annotations

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.images import canonical, digest_of, same, same_id

ABC, DEF = f"sha256:{'abc' * 21}d", f"sha256:{'def' * 21}a"
FULL = "docker.io/library/python:latest"


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("python", FULL),
        ("python:latest", FULL),
        ("library/python", FULL),
        ("docker.io/python", FULL),
        ("index.docker.io/library/python:latest", FULL),
        (" python ", FULL),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("team/tool", "docker.io/team/tool:latest"),
        ("ghcr.io/team/tool:1", "ghcr.io/team/tool:1"),
        ("registry:5000/tool", "registry:5000/tool:latest"),
        ("localhost/tool:1", "localhost/tool:1"),
        (f"python@{ABC}", f"docker.io/library/python@{ABC}"),
        (f"python:3.11@{ABC}", f"docker.io/library/python@{ABC}"),
        (f"registry:5000/a/b:1@{ABC}", f"registry:5000/a/b@{ABC}"),
    ],
)
def test_what_may_be_left_out_is_put_in(reference: str, full: str) -> None:
    assert canonical(reference) == full
    assert canonical(full) == full


@forall(st.text(max_size=40))
def test_whatever_is_written_can_be_compared(reference: str) -> None:
    assert canonical(reference) == canonical(reference)
    assert same(reference, reference, "") == bool(reference)


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        (f"python@{ABC}", ABC),
        (f"docker.io/library/import-2026-11-26@{ABC}", ABC),
        (ABC, ABC),
        ("python:3.11", ""),
        ("", ""),
    ],
)
def test_a_digest_is_found_wherever_nodes_write_it(image: str, digest: str) -> None:
    assert digest_of(image) == digest


@pytest.mark.parametrize(
    ("reference", "other", "other_id", "expected"),
    [
        pytest.param("python", FULL, f"python@{ABC}", True, id="the same name"),
        pytest.param("python:3.11", "python:3.12", f"python@{ABC}", False, id="another tag"),
        pytest.param(f"x/python@{ABC}", "python:3", f"python@{ABC}", True, id="by its digest"),
        pytest.param(f"python@{ABC}", f"python@{ABC}", "", True, id="both by digest"),
        pytest.param(f"python@{DEF}", "python:3", f"python@{ABC}", False, id="another digest"),
        # The name is right, but which of the images that had it is asked for is said, too.
        pytest.param(f"python:3@{DEF}", "python:3", f"python@{ABC}", False, id="name, not digest"),
        pytest.param("python", "", "", False, id="nothing is known"),
    ],
)
def test_the_same_image(reference: str, other: str, other_id: str, *, expected: bool) -> None:
    assert same(reference, other, other_id) is expected


def test_nodes_mean_the_same_image_whatever_registry_it_came_from() -> None:
    assert same_id(f"mirror/python@{ABC}", f"docker.io/library/python@{ABC}")
    assert same_id(ABC, f"python@{ABC}")
    assert not same_id(f"python@{ABC}", f"python@{DEF}")
    assert not same_id(f"python@{ABC}", "")
    assert same_id("i", "i")
