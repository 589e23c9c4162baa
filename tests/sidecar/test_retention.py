from __future__ import annotations

import asyncio
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isola_sidecar import limits
from isola_sidecar.commands import give_up_outputs
from isola_sidecar.output import Output
from isola_sidecar.problems import ProblemError
from sidecar.pods import Client, Pod, eventually

MEBIBYTE = 1 << 20


class FakeOutput:
    def __init__(self, size: int) -> None:
        self.size = size
        self.gone = False

    def give_up(self) -> None:
        self.gone = True


class FakeCommand:
    def __init__(self, size: int, ended_at: float) -> None:
        self.stdout, self.stderr = FakeOutput(size), FakeOutput(0)
        self.ended_at = ended_at


commands = st.lists(
    st.builds(FakeCommand, st.integers(0, 64 * MEBIBYTE), st.floats(0, 500)), max_size=40
).map(lambda found: sorted(found, key=lambda each: each.ended_at))


@given(commands)
def test_the_limit_holds_but_for_the_youngest(finished: list[FakeCommand]) -> None:
    now = 500.0
    left = deque(finished)
    give_up_outputs(left, now=now)  # type: ignore[arg-type]
    kept = list(left)
    old = [each for each in kept if now - each.ended_at >= limits.KEPT_SECONDS]

    assert sum(each.stdout.size for each in kept) <= limits.KEPT_OUTPUT_BYTES or not old
    assert kept == finished[len(finished) - len(kept) :], "the oldest go first"
    assert [each.stdout.gone for each in finished] == [each not in kept for each in finished]
    if len(kept) < len(finished):
        last_given_up = finished[len(finished) - len(kept) - 1]
        with_it = sum(each.stdout.size for each in [last_given_up, *kept])
        assert with_it > limits.KEPT_OUTPUT_BYTES, "none goes in vain"


def test_their_number_is_limited_too() -> None:
    finished = [FakeCommand(0, 0.0) for _ in range(limits.KEPT_OUTPUTS + 3)]
    give_up_outputs(deque(finished), now=1000.0)  # type: ignore[arg-type]

    assert [each.stdout.gone for each in finished] == [True] * 3 + [False] * limits.KEPT_OUTPUTS


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_even_the_youngest_go_when_they_are_very_many() -> None:
    kept = deque(FakeCommand(0, 1000.0) for _ in range(limits.KEPT_OUTPUTS_AT_MOST + 3))
    give_up_outputs(kept, now=1000.0)  # type: ignore[arg-type]

    assert len(kept) == limits.KEPT_OUTPUTS_AT_MOST


async def test_output_that_was_given_up_says_so_and_frees_its_file(tmp_path: Path) -> None:
    root = os.open(tmp_path, os.O_PATH)
    before = open_files()
    output = Output(root)
    os.write(output.program_end, b"x")
    await asyncio.sleep(0)
    output.close_program_end()
    output.finish()
    reading = output.pieces(0)
    assert await anext(reading) == b"x"
    output.give_up()

    with pytest.raises(ProblemError, match="no longer kept") as caught:
        output.refuse_if_gone(0)
    assert caught.value.status == 410
    with pytest.raises(ProblemError):
        await anext(output.pieces(0))
    await asyncio.sleep(0.05)
    assert open_files() == before
    os.close(root)


def test_commands_that_end_give_back_their_descriptors(client: Client, pod: Pod) -> None:
    descriptors = Path(f"/proc/{pod.sidecar}/fd")
    client.run("true")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        client.run("true")

    eventually(lambda: len(list(descriptors.iterdir())) <= before)


def resident(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_thousand_commands_leave_little_more_than_their_records(tmp_path: Path) -> None:
    with Pod(tmp_path) as pod, ThreadPoolExecutor(8) as pool:
        pod.add("main")
        client = pod.start_sidecar()

        def run(_: int) -> None:
            assert client.run("sh", "-c", "echo output; echo error >&2").exit_code == 0

        # As many as outputs are kept: those are descriptors and, under Linux, a page each.
        list(pool.map(run, range(limits.KEPT_OUTPUTS)))
        (launcher,) = children(pod.sidecar)
        before = resident(pod.sidecar), resident(launcher)
        list(pool.map(run, range(1000)))
        after = resident(pod.sidecar), resident(launcher)

        commands = client.call("GET", "/v1/commands").json["commands"]
        assert len(commands) == limits.KEPT_OUTPUTS + 1000
        assert after[0] - before[0] < 1000 * 4096, "of the sidecar, for the records of all"
        assert after[1] - before[1] < MEBIBYTE, "of the launcher, which remembers none"
        assert children(pod.sidecar) == [launcher]
        assert children(launcher) == []
