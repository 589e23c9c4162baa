"""The gate: opens once no canary answers, and says what is amiss."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from isola_lifecycle import naming
from isola_sidecar import gate
from isola_sidecar.gate import NOT_ENFORCED, attempt, unenforced
from sidecar.pods import Client, Pod, eventually, require_tools
from support.kubernetes_server import free_port

NO_ROUTE = "[2001:db8::1]:443"
QUESTION = b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    require_tools()
    with Pod(tmp_path) as pod:
        yield pod


@pytest.fixture
def alive() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"127.0.0.1:{listener.getsockname()[1]}"


def dead() -> str:
    return f"127.0.0.1:{free_port()}"


class Gate:
    """A sidecar whose gate looks at canaries."""

    def __init__(self, pod: Pod, *canaries: str, seconds: float) -> None:
        """Start it."""
        self.port = free_port()
        self.process = pod.launch_sidecar(
            f"ISOLA_GATE_PORT={self.port}",
            f"ISOLA_GATE_SECONDS={seconds}",
            f"ISOLA_GATE_CANARIES={' '.join(canaries)}",
        )

    def ask(self) -> socket.socket:
        """Ask, as the hook of the next container does."""
        asking = eventually(self.connect)
        asking.sendall(QUESTION)
        return asking

    def connect(self) -> socket.socket | None:
        """Return a connection, and ask nothing yet; None while nobody listens."""
        try:
            return socket.create_connection(("127.0.0.1", self.port), timeout=60)
        except ConnectionRefusedError:
            return None

    def line(self) -> str:
        """Return what it says next."""
        assert self.process.stderr
        return self.process.stderr.readline().decode()

    def client(self) -> Client:
        """Return a client of the sidecar, once its gate is open."""
        assert "saw the network closed after" in self.line()
        return Client(int(self.line().split()[-1]))


def answer(asking: socket.socket) -> bytes:
    with asking:
        return asking.makefile("rb").read()


def broken_off(asking: socket.socket) -> bool:
    try:
        return answer(asking) == b""
    except ConnectionError:
        return True


def waits(asking: socket.socket, seconds: float = 0.3) -> bool:
    asking.settimeout(seconds)
    try:
        asking.recv(1)
    except TimeoutError:
        return True
    finally:
        asking.settimeout(60)
    return False


# --- what is seen ------------------------------------------------------------------------------


def test_it_opens_where_everything_is_refused(pod: Pod) -> None:
    opened = Gate(pod, dead(), dead(), seconds=60)
    assert answer(opened.ask()) == gate.OPEN
    assert opened.client().call("GET", "/health").status == 200


def test_one_canary_that_answers_keeps_it_closed_and_is_named(
    pod: Pod, alive: tuple[socket.socket, str]
) -> None:
    _, address = alive
    closed = Gate(pod, dead(), address, seconds=1)
    asking = closed.ask()
    assert closed.process.wait(60) == NOT_ENFORCED
    assert closed.line() == f"still reached {address}\n"
    assert broken_off(asking)  # to a kubelet any answer would be a good one


def test_whoever_asks_waits_until_the_last_canary_stops_answering(
    pod: Pod, alive: tuple[socket.socket, str]
) -> None:
    listener, address = alive
    late = Gate(pod, dead(), address, seconds=60)
    asking, another = late.ask(), late.ask()
    assert waits(asking)
    listener.close()
    assert [answer(asking), answer(another)] == [gate.OPEN] * 2


@pytest.mark.parametrize("canaries", [(), (NO_ROUTE,)], ids=["none", "no route"])
def test_what_cannot_be_tried_proves_nothing(pod: Pod, canaries: tuple[str, ...]) -> None:
    if canaries and attempt(list(canaries))[1]:
        pytest.skip("this machine has a route for IPv6")
    closed = Gate(pod, *canaries, seconds=0.2)
    assert closed.process.wait(60) == NOT_ENFORCED
    assert "no canary could be tried" in closed.line()


@contextmanager
def silent() -> Generator[tuple[socket.socket, str]]:
    """Yield a listener that answers nobody, as its queue is full, and its address."""
    with ExitStack() as open_, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        for _ in range(4):
            each = open_.enter_context(socket.socket())
            each.settimeout(0)
            each.connect_ex(address)
        time.sleep(0.1)
        yield full, f"127.0.0.1:{address[1]}"


def test_an_answer_that_never_comes_counts_as_refused() -> None:
    with silent() as (_, address):
        reached, refused = attempt([address])
    assert (reached, len(refused)) == ([], 1)


def test_a_network_that_is_up_late_does_not_pass_for_a_closed_one(
    monkeypatch: pytest.MonkeyPatch, alive: tuple[socket.socket, str]
) -> None:
    """Tries side by side would both fall into its first silence."""
    with silent() as (full, address):

        def then_up(*tried: Any) -> Any:
            seen = attempt(*tried)
            full.listen(4096)
            return seen

        monkeypatch.setattr(gate, "attempt", then_up)
        told = unenforced([address], 2, gate.Asked(alive[0]))
    assert told == f"still reached {address}"


@pytest.mark.parametrize(
    ("seen", "tried"),
    [
        pytest.param(["rr", "rr"], ["ab", "ab"], id="both at once"),
        pytest.param(["or", "r", "rr"], ["ab", "a", "ab"], id="one after the other"),
        pytest.param(["rr", "or", "r", "r"], ["ab", "ab", "a", "a"], id="not twice in a row"),
        pytest.param(["oo", "o", "r", "rr", "r"], ["ab", "a", "a", "ab", "b"], id="one waits"),
        pytest.param(["r-", "r-"], ["ab", "ab"], id="one cannot be tried"),
        pytest.param(["--", "rr", "rr"], ["ab", "ab", "ab"], id="at first none can"),
        pytest.param(
            ["rrr", "roo", "-", "or", "r", "rr"],
            ["abc", "abc", "b", "bc", "b", "bc"],
            id="the one for which the others waited cannot be tried any more",
        ),
    ],
)
def test_each_is_refused_twice_in_a_row_and_then_left_alone(
    monkeypatch: pytest.MonkeyPatch,
    alive: tuple[socket.socket, str],
    seen: list[str],
    tried: list[str],
) -> None:
    """Of canaries a, b and c, what is seen of those that are tried: open, refused or nothing."""
    rounds = iter(seen)
    found: list[str] = []

    def scripted(canaries: list[str]) -> tuple[list[str], list[str]]:
        found.append("".join(canaries))
        now = dict(zip(canaries, next(rounds), strict=True))
        return [c for c in canaries if now[c] == "o"], [c for c in canaries if now[c] == "r"]

    monkeypatch.setattr(gate, "attempt", scripted)
    assert unenforced([*"abc"[: len(seen[0])]], 60, gate.Asked(alive[0])) == ""
    assert found == tried


# --- who asks ----------------------------------------------------------------------------------


def asker(pod: Pod) -> subprocess.Popen[bytes]:
    """The container that asks, of which a new kubelet would think that it was answered."""
    return pod.run("env", f"{naming.GATE_VARIABLE}=yes", "sleep", "infinity")


def test_where_who_asked_hangs_up_before_it_opens_the_asking_container_is_killed(
    pod: Pod, alive: tuple[socket.socket, str]
) -> None:
    listener, address = alive
    late = Gate(pod, address, seconds=60)
    container, neighbour = asker(pod), pod.run("sleep", "infinity")
    patient, asking = late.ask(), late.ask()
    assert waits(asking)
    assert container.poll() is None
    asking.close()
    container.wait(60)
    another = asker(pod)  # the kubelet starts it anew
    assert waits(patient)
    assert (another.poll(), neighbour.poll()) == (None, None)
    listener.close()
    assert answer(patient) == gate.OPEN


def test_who_hangs_up_once_it_is_open_harms_nobody(pod: Pod) -> None:
    opened = Gate(pod, dead(), seconds=60)
    container = asker(pod)
    opened.ask().close()
    assert answer(opened.ask()) == gate.OPEN
    assert container.poll() is None


def test_beside_a_container_of_the_user_s_a_new_sidecar_opens_at_once(
    pod: Pod, alive: tuple[socket.socket, str]
) -> None:
    pod.add("main")
    again = Gate(pod, alive[1], seconds=60)
    assert answer(again.ask()) == gate.OPEN


def test_it_goes_on_answering_when_clients_are_served(pod: Pod) -> None:
    opened = Gate(pod, dead(), seconds=60)
    assert answer(opened.ask()) == gate.OPEN
    client = opened.client()
    assert client.call("GET", "/v1/commands").status == 200
    silent = eventually(opened.connect)
    assert answer(opened.ask()) == gate.OPEN
    assert client.call("GET", "/v1/commands").status == 200
    silent.close()


def test_whoever_is_silent_holds_up_nobody(pod: Pod) -> None:
    opened = Gate(pod, dead(), seconds=60)
    client = opened.client()
    silent = eventually(opened.connect)
    assert client.call("GET", "/v1/commands").status == 200
    silent.close()


def test_operator_and_gate_know_each_other_by_the_same_words() -> None:
    assert naming.GATE_NOT_ENFORCED == NOT_ENFORCED
    assert f"{naming.GATE_VARIABLE}=".encode() == gate.ASKS
