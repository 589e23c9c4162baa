"""The commands on a real API server, with kubectl's own rights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from isola_lifecycle.codec import encode
from kubectl.conftest import Cli, Run
from support.kubernetes_server import NAMESPACE, ApiServer
from support.lives import Lives
from support.store import unique
from support.stories import FAILED, SILENT, fact

pytestmark = pytest.mark.apiserver

MICROSECOND = timedelta(microseconds=1)

LIFE = [
    "Accepted",
    "PodCreated",
    "Scheduled",
    "Started",
    "Ready",
    "TerminationRequested",
    "Ready=False",
    "Terminated",
]


async def test_the_history_of_a_living_sandbox(cli: Cli, lives: Lives) -> None:
    sandbox = await lives.begin()
    done = cli("history", sandbox.name)
    assert done.code == 0
    assert done.lines[0] == f"{sandbox.name}  Running  uid {sandbox.uid}"
    assert done.events == LIFE[:5]
    assert done.lines[1].split() == ["#", "TIME", "AFTER", "EVENT", "REASON", "ACTOR", "MESSAGE"]
    assert done.lines[2].split() == [
        *("1", "2026-05-04", "03:02:01.123Z", "-", "Accepted", "SpecValid", "operator", "…")
    ]


async def test_the_history_of_a_deleted_sandbox_and_why_it_ended(cli: Cli, lives: Lives) -> None:
    sandbox = await lives.end(await lives.begin("", *SILENT, FAILED))
    done = cli("history", sandbox.name)
    assert done.lines[0] == f"{sandbox.name}  Failed, deleted  uid {sandbox.uid}"
    assert done.events == [*LIFE[:5], "Succeeded=False", *LIFE[5:]]
    assert cli("why", sandbox.name).out.startswith("Its program failed, 0ms after it became ready")


async def test_a_long_history_comes_whole_from_archive_and_object(cli: Cli, lives: Lives) -> None:
    sandbox = await lives.long()
    told = json.loads(cli("history", sandbox.name, "-o", "json").out)
    assert [entry["sequence"] for entry in told["entries"]] == list(range(1, 27))
    assert told["entries"][-1] == encode(sandbox.log.entries[-1])
    assert len(told["sincePreviousSeconds"]) == 26
    assert (told["id"], told["uid"], told["deleted"]) == (sandbox.name, sandbox.uid, False)


async def test_json_of_a_history_is_what_verify_reads(cli: Cli, lives: Lives) -> None:
    sandbox = await lives.end(await lives.long())
    exported = cli("history", sandbox.name, "-o", "json").out
    assert json.loads(exported)["state"] == "Terminated"
    assert cli("verify", "-f", "-", stdin=exported).code == 0


async def test_a_name_that_several_had_means_the_last_and_uid_the_others(
    cli: Cli, lives: Lives
) -> None:
    first = await lives.end(await lives.begin(unique("twice")))
    # Within the second that Kubernetes counts in, and so not told apart by their creation.
    lives.at += MICROSECOND
    second = await lives.end(await lives.begin(first.name))
    done = cli("history", first.name)
    assert second.uid in done.lines[0]
    assert f"1 more had the name {first.name}; --uid shows them: {first.uid}" in done.err
    assert first.uid in cli("history", first.name, "--uid", first.uid).lines[0]
    third = await lives.begin(first.name)
    assert f"Running  uid {third.uid}" in cli("history", first.name).lines[0]
    assert cli("history", first.name, "--uid", second.uid).lines[0].endswith(second.uid)


async def test_the_request_that_caused_an_entry_is_shown(cli: Cli, lives: Lives) -> None:
    sandbox = await lives.begin()
    asked = fact("TerminationRequested", "ClientRequest")
    await lives.go_on(sandbox, replace(asked, request_id="r-17", actor="gateway on behalf of 10.1"))
    done = cli("history", sandbox.name)
    assert "REQUEST" in done.lines[1]
    assert "gateway on behalf of 10.1  r-17" in done.lines[-1]
    assert "by 10.1 (request r-17)" in cli("why", sandbox.name).out


async def test_what_is_there_is_listed_and_with_all_what_was(cli: Cli, lives: Lives) -> None:
    living, long = await lives.begin(), await lives.long()
    gone = await lives.end(await lives.begin("", *SILENT, FAILED))

    def listed(*words: str) -> dict[str, list[str]]:
        head, *rows = cli("list", *words).lines
        assert head.split() == ["NAME", "STATE", "REASON", "NODE", "AGE", "ENDED", "UID"]
        return {row.split()[0]: row.split() for row in rows}

    rows = listed()
    assert rows[living.name][1:4] == ["Running", "PodReady", "n1"]
    assert rows[long.name][1:4] == ["Running", "LogRolledOver", "n1"]
    assert gone.name not in rows
    assert listed("--all")[gone.name][1:4] == ["Failed", "Error", "n1"]
    told = json.loads(cli("list", "-a", "-o", "json").out)
    assert {
        "id": gone.name,
        "uid": gone.uid,
        "deleted": True,
        "state": "Failed",
        "reason": "Error",
    } in told


@pytest.mark.parametrize("command", ["history", "why", "verify", "watch"])
@pytest.mark.usefixtures("lives")
def test_a_name_that_nobody_ever_had_is_told_as_such(cli: Cli, command: str) -> None:
    done = cli(command, "nobody-ever")
    assert done.code == 3
    assert done.out == ""
    assert done.err.startswith("kubectl isola: there is ")


@pytest.mark.parametrize("command", ["history", "why", "watch", "verify"])
@pytest.mark.usefixtures("lives")
def test_a_cluster_that_does_not_answer_is_kubectl_s_to_tell(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/no/such/kubeconfig")
    done = cli(command, "x")
    assert done.code == 4
    assert "kubectl isola: " in done.err
    monkeypatch.setenv("KUBECTL", "/no/such/kubectl")
    assert "install kubectl, put it on the PATH, or set KUBECTL" in cli(command, "x").err


@pytest.mark.usefixtures("lives")
def test_flags_go_to_kubectl_before_the_command_or_after_it(
    cli: Cli, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG")
    config = ("--kubeconfig", str(api_server.kubeconfig))
    assert cli("list", *config, "--context", "tests", "-n", "kube-system").err.endswith(
        "no sandboxes in this namespace; --all shows deleted ones\n"
    )
    assert cli(*config, "-n", NAMESPACE, "list").code == 0
    empty = cli("verify", "--all", *config, "-n", "kube-system")
    assert (empty.code, empty.out) == (0, "0 logs verified, nothing found\n")
    assert cli(*config, "list", "--context", "no-such-context").code == 4


async def test_names_namespaces_and_contexts_are_completed(
    completed: Callable[..., Run], lives: Lives
) -> None:
    living, gone = await lives.begin(), await lives.end(await lives.begin())

    def words(*line: str) -> list[str]:
        return [word.split("\t")[0] for word in completed(*line).lines]

    assert {living.name, gone.name} <= set(words("history", ""))
    assert gone.name not in words("watch", "")
    assert words("why", gone.name) == [gone.name, ":4"]
    assert words("history", gone.name, "--uid", "") == [gone.uid, ":4"]
    assert NAMESPACE in words("-n", "")
    assert words("--context", "t") == ["tests", ":4"]
    assert words("-n", "kube-system", "why", "") == [":4"]


RIGHTS = (
    ("get,list,watch", "sandboxes.sandbox.isola.run"),
    ("list", "sandboxrecords.sandbox.isola.run"),
)


async def test_reading_needs_no_more_rights_than_the_documented_ones(
    cli: Cli, lives: Lives, api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = await lives.long()

    def kubectl(*words: str, kubeconfig: Path = api_server.kubeconfig) -> str:
        done = api_server.run_kubectl(*words, f"--kubeconfig={kubeconfig}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    reader = tmp_path / "kubeconfig"
    reader.write_text(api_server.kubeconfig.read_text())
    kubectl("create", "serviceaccount", "reader")
    token = kubectl("create", "token", "reader").strip()
    kubectl("config", "unset", "users", kubeconfig=reader)
    kubectl("config", "set-credentials", "tests", f"--token={token}", kubeconfig=reader)
    monkeypatch.setenv("KUBECONFIG", str(reader))
    assert cli("history", sandbox.name).code == 4  # nothing yet
    for number, (verbs, resource) in enumerate(RIGHTS):
        role = f"reader-{number}"
        kubectl("create", "role", role, f"--verb={verbs}", f"--resource={resource}")
        account = f"--serviceaccount={NAMESPACE}:reader"
        kubectl("create", "rolebinding", role, f"--role={role}", account)
    gone = await lives.end(await lives.begin())
    for words in (("history",), ("why",), ("verify",)):
        assert cli(*words, sandbox.name).code == 0
        assert cli(*words, gone.name).code == 0
    assert cli("watch", gone.name).code == 0
    assert cli("list", "--all").code == 0
