from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidecar.pods import Client, Container, Pod, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Pod]:
    with Pod(tmp_path) as pod:
        yield pod


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, dict[str, Container]]]:
    """A pod of two containers: `sandbox0`, and `sandbox1` whose image has no shell."""
    with Pod(tmp_path_factory.mktemp("two")) as pod:
        containers = {
            "sandbox0": pod.add("sandbox0", prepare="echo zero > /which; mkdir /zero"),
            "sandbox1": pod.add(
                "sandbox1", prepare="echo one > /which; rm /bin/sh /bin/dash /bin/bash"
            ),
        }
        yield pod.start_sidecar(), containers


@pytest.mark.parametrize(("name", "content"), [("sandbox0", "zero\n"), ("sandbox1", "one\n")])
def test_a_named_container_is_the_one_that_is_used(
    two: tuple[Client, dict[str, Container]], name: str, content: str
) -> None:
    client, _ = two

    assert client.run("cat", "/which", container=name).stdout == content
    assert client.download("/which", container=name).body == content.encode()
    assert client.upload("/new", b"x", container=name).status == 201
    assert client.run("cat", "/new", container=name).stdout == "x"


def test_without_a_name_several_containers_are_named_in_the_answer(
    two: tuple[Client, dict[str, Container]],
) -> None:
    client, _ = two

    for answer in (
        client.post_command("true"),
        client.download("/which"),
        client.upload("/x", b""),
    ):
        assert answer.status == 400
        assert "sandbox0, sandbox1" in answer.detail


def test_an_unknown_container_is_refused_with_the_known_ones(
    two: tuple[Client, dict[str, Container]],
) -> None:
    client, _ = two
    answer = client.post_command("true", container="nope")

    assert answer.status == 400
    assert "'nope'" in answer.detail
    assert "sandbox0, sandbox1" in answer.detail


def test_no_shell_is_needed(two: tuple[Client, dict[str, Container]]) -> None:
    client, _ = two

    assert client.run("/bin/sh", "-c", "true", container="sandbox1").exit_code == 127
    assert client.run("seq", "3", container="sandbox1").stdout == "1\n2\n3\n"
    assert client.run("seq", "3", container="sandbox1", timeoutSeconds=9, cwd="/usr").exit_code == 0


def test_a_script_without_interpreter_line_needs_one(
    two: tuple[Client, dict[str, Container]],
) -> None:
    client, _ = two
    client.upload("/script", b"echo hi", container="sandbox1")
    client.run("chmod", "+x", "/script", container="sandbox1")

    assert client.run("/script", container="sandbox1").exit_code == 127


def test_a_cwd_is_looked_up_in_the_named_container(
    two: tuple[Client, dict[str, Container]],
) -> None:
    client, _ = two

    assert client.run("pwd", container="sandbox0", cwd="/zero").stdout == "/zero\n"
    assert client.post_command("pwd", container="sandbox1", cwd="/zero").status == 400


def test_children_and_impostors_are_not_taken_for_the_main_process(empty: Pod) -> None:
    """The main process is in /main; older and younger processes claim to be it."""
    empty.add("main", prepare="mkdir /main", directory="/main")
    client = empty.start_sidecar()
    for name in ("main", "other", "aaa"):
        client.sh(f"cd /tmp; ISOLA_CONTAINER_NAME={name} setsid sleep 60 & exit 0")
    eventually(lambda: client.sh("pgrep -c sleep").stdout >= "5\n")

    assert client.run("pwd").stdout == "/main\n"
    assert client.run("pwd", container="main").stdout == "/main\n"
    assert client.post_command("true", container="other").status == 400


def test_what_entered_a_container_later_is_not_taken_for_its_main_process(empty: Pod) -> None:
    """As `kubectl exec` does it: the marker is there, and the parent is 0 too."""
    empty.add("main", prepare="mkdir /main", directory="/main")
    empty.add("main", prepare="mkdir /exec", directory="/exec")

    assert empty.start_sidecar().run("pwd").stdout == "/main\n"


def test_a_container_that_has_exited_says_so(empty: Pod) -> None:
    gone, _ = empty.add("gone"), empty.add("stays")
    client = empty.start_sidecar()
    assert client.run("true", container="gone").exit_code == 0
    gone.stop()

    answer = client.post_command("true", container="gone")
    assert (answer.status, "exited" in answer.detail) == (409, True)
    assert client.upload("/x", b"", container="gone").status == 409
    assert client.run("true", container="stays").exit_code == 0


def test_the_only_containers_exit_and_return_are_noticed(empty: Pod) -> None:
    first = empty.add("main", prepare="echo 1 > /which")
    client = empty.start_sidecar()
    assert client.run("cat", "/which").stdout == "1\n"
    first.stop()
    assert client.post_command("true").status == 409

    empty.add("main", prepare="echo 2 > /which")
    assert client.run("cat", "/which").stdout == "2\n"
    assert client.run("cat", "/which", container="main").stdout == "2\n"


def test_a_pod_without_a_container_yet_says_so(empty: Pod) -> None:
    client = empty.start_sidecar()
    answer = client.post_command("true")

    assert answer.status == 400
    assert "no container has started yet" in answer.detail
    empty.add("late")
    assert eventually(lambda: client.post_command("true").status == 202)


def test_an_environment_without_a_path_gets_the_usual_one(empty: Pod) -> None:
    empty.add("main", command="env -u PATH /usr/bin/sleep infinity")
    client = empty.start_sidecar()

    assert client.run("printenv", "PATH").stdout.startswith("/usr/local/sbin:")


def test_a_stop_is_quick_and_takes_the_commands_along(empty: Pod) -> None:
    container = empty.add("main")
    client = empty.start_sidecar()
    client.start("sh", "-c", "(setsid touch /begun; setsid sleep 7002) & sleep 60")
    eventually((container.root / "begun").exists)

    assert empty.stop_sidecar() < 1
    eventually(lambda: not empty.has_process(b"7002"))
    assert empty.has_process(b"infinity")
