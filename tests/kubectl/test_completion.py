"""What a shell offers, as kubectl and the shells themselves ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isola_kubectl.arguments import COMMANDS
from kubectl.conftest import Cli, Run

Completed = Callable[..., Run]
NAMES = [command.name for command in COMMANDS]


def words(run: Run) -> list[str]:
    """Return the candidates, without their descriptions and the directive."""
    return [line.partition("\t")[0] for line in run.lines[:-1]]


def test_the_commands_are_offered_with_what_they_do(completed: Completed) -> None:
    run = completed("")
    assert words(run) == NAMES
    assert all("\t" in line for line in run.lines[:-1])
    assert run.lines[-1] == ":4"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("h",), ["history"]),
        (("-n", "x", "wh"), ["why"]),
        (("--namespace=x", "wh"), ["why"]),
        (("list", "--a"), ["--all"]),
        (("history", "--u"), ["--uid"]),
        (("list", "--u"), []),
        (("verify", "-o", ""), ["table", "json"]),
        (("verify", "-o", "j"), ["json"]),
        (("verify", "--output=j"), ["--output=json"]),
        (("verify", "--output", "=", "j"), ["json"]),
        (("verify", "--output", "="), ["table", "json"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("completion", "bash", ""), []),
        (("list", ""), ["sandboxes", "rootfssnapshots"]),
        (("list", "root"), ["rootfssnapshots"]),
        (("nonsense", "x"), []),
        (("verify", "--witness", ""), []),
    ],
)
def test_what_may_follow_is_offered(
    completed: Completed, line: tuple[str, ...], expected: list[str]
) -> None:
    assert words(completed(*line)) == expected


@pytest.mark.parametrize(
    ("line", "directive"),
    [
        (("verify", "-f", ""), ":0"),
        (("--kubeconfig", ""), ":0"),
        (
            (
                "verify",
                "--file=x",
            ),
            ":0",
        ),
        (("verify", "--witness", ""), ":4"),
        (("list", ""), ":4"),
    ],
)
def test_files_are_offered_where_a_file_may_stand(
    completed: Completed, line: tuple[str, ...], directive: str
) -> None:
    assert completed(*line).lines[-1] == directive


def test_a_cluster_that_does_not_answer_disturbs_nobody(
    completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECTL", "/no/such/kubectl")
    run = completed("history", "")
    assert (run.out, run.err, run.code) == (":4\n", "", 0)


BASH = """
source <(isola-history completion bash)
COMP_WORDS=(isola-history verify --out) COMP_CWORD=2
_isola_history
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = "isola-history completion fish | source; complete -C 'isola-history verify --out'"
# A shell in a terminal of its own: zsh completes nowhere else.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; autoload -U compinit; compinit -u -D; source <(isola-history completion zsh)"
zpty -w shell "print READY"
zpty -r shell line '*READY*READY*'
zpty -n -w shell $'isola-history verify --out\\t'
zpty -r shell line '*--output*'
print -r -- ${line##*verify }
zpty -d shell
"""


@pytest.mark.parametrize(("shell", "program"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_the_script_completes_in_the_shell_it_is_for(
    cli: Cli, shell: str, program: str, tmp_path: Path
) -> None:
    assert "isola-history" in cli("completion", shell).out
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", program],
        env={**os.environ, "PATH": path, "HOME": str(tmp_path), "TERM": "xterm"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.split()[0] == "--output"
