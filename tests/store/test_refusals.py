"""The API server refuses to rewrite a log, whoever asks. Each refusal, with kubectl's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isola_lifecycle.codec import encode
from isola_lifecycle.log import (
    ACTOR_LENGTH,
    DATA_ENTRIES,
    DATA_VALUE_LENGTH,
    LIVE_ENTRIES,
    MESSAGE_LENGTH,
    REASON_LENGTH,
    REQUEST_ID_LENGTH,
)
from isola_store.client import KubernetesClient
from isola_store.kubernetes import KubernetesStore
from isola_store.port import Logged
from support.kubernetes_server import NAMESPACE, ApiServer
from support.store import SPEC, Kind, append, following, unique
from support.stories import ACCEPTED, NOT_READY, POD_CREATED, READY, SCHEDULED, STARTED

pytestmark = pytest.mark.apiserver

# 239 characters.
LONG = f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 51}.com"

APPEND_ONLY = "the log is append-only"


@pytest.fixture(scope="module")
def api_server(each_api_server: ApiServer) -> ApiServer:
    return each_api_server


class Attempt:
    """An object with four entries, and somebody with kubectl."""

    def __init__(
        self, server: ApiServer, kind: Kind, name: str, items: list[dict[str, Any]]
    ) -> None:
        self.server = server
        self.kind = kind
        self.name = name
        self.newest_first = items
        self.next = {**items[0], "sequence": 5}

    def patch(self, body: object, kind: str = "json") -> str:
        """Patch the status; return what kubectl complained about, empty where it went through."""
        done = self.server.run_kubectl(
            "patch",
            self.kind.resource.plural,
            self.name,
            "--subresource=status",
            f"--type={kind}",
            f"--patch={json.dumps(body)}",
        )
        assert "index out of bounds" not in done.stderr
        return done.stderr if done.returncode else ""


@pytest.fixture
async def attempt(api_server: ApiServer, client: KubernetesClient, kind: Kind) -> Attempt:
    store = KubernetesStore(client, NAMESPACE, kind.resource, Logged)
    item = await store.create(kind.draft("refusal"))
    item = await append(store, item, ACCEPTED, POD_CREATED, SCHEDULED, STARTED)
    return Attempt(api_server, kind, item.name, [encode(e) for e in reversed(list(item.log))])


def add(entry: object, path: str = "0") -> dict[str, object]:
    return {"op": "add", "path": f"/status/conditions/{path}", "value": entry}


def test_the_next_number_is_accepted(attempt: Attempt) -> None:
    assert attempt.patch([add(attempt.next)]) == ""
    assert attempt.patch([add({**attempt.next, "sequence": 6})]) == ""


def test_archiving_and_appending_in_one_write_is_accepted(attempt: Attempt) -> None:
    body = {"status": {"archived": 2, "conditions": [attempt.next, *attempt.newest_first[:2]]}}
    assert attempt.patch(body, "merge") == ""


@pytest.mark.parametrize(
    ("sequence", "position"),
    [
        pytest.param(4, "0", id="a number taken"),
        pytest.param(6, "0", id="a gap"),
        pytest.param(0, "0", id="a number below one"),
        pytest.param(5, "-", id="at the end"),
        pytest.param(5, "2", id="in the middle"),
    ],
)
def test_only_the_next_number_at_the_front_is_an_append(
    attempt: Attempt, sequence: int, position: str
) -> None:
    refusal = attempt.patch([add({**attempt.next, "sequence": sequence}, position)])
    assert "numbered without gaps" in refusal or "greater than or equal to 1" in refusal


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/status/conditions/1/message", "value": "x"},
        {"op": "replace", "path": "/status/conditions/3/data/podUID", "value": "x"},
        {"op": "replace", "path": "/status/conditions/2/actor", "value": "somebody else"},
        {"op": "add", "path": "/status/conditions/1/requestId", "value": "forged"},
        {"op": "remove", "path": "/status/conditions/0"},
        {"op": "remove", "path": "/status/conditions/3"},
        {"op": "remove", "path": "/status/conditions"},
        {"op": "remove", "path": "/status"},
    ],
    ids=lambda o: f"{o['op']} {o['path']}",
)
def test_a_recorded_entry_cannot_be_changed_or_removed(
    attempt: Attempt, operation: dict[str, str]
) -> None:
    refusal = attempt.patch([operation])
    assert APPEND_ONLY in refusal or "follows the last one archived" in refusal


def test_kubectl_edit_of_the_past_is_refused_and_says_why(attempt: Attempt) -> None:
    done = attempt.server.run_kubectl(
        *("edit", attempt.kind.resource.plural, attempt.name, "--subresource=status"),
        editor="sed -i s/NodeAssigned/SomewhereElse/",
    )
    assert done.returncode != 0
    # It opens the editor again with the reason on top; one that changes nothing then gives up.
    copy = Path(done.stderr.split('stored to "')[1].split('"')[0])
    shown = " ".join(copy.read_text().replace("#", " ").split())
    copy.unlink()
    assert "the log is append-only: a recorded entry was changed or removed" in shown


def test_the_order_cannot_be_changed(attempt: Attempt) -> None:
    body = {"status": {"conditions": attempt.newest_first[::-1]}}
    assert "numbered without gaps" in attempt.patch(body, "merge")


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="no status"),
        pytest.param({"conditions": None}, id="no list"),
        pytest.param({"conditions": []}, id="an empty list"),
    ],
)
def test_the_log_cannot_be_dropped(attempt: Attempt, status: object) -> None:
    refusal = attempt.patch({"status": status}, "merge")
    assert APPEND_ONLY in refusal or "at least 1 items" in refusal


def test_the_log_cannot_be_begun_anew(attempt: Attempt) -> None:
    body = {"status": {"conditions": attempt.newest_first[-1:]}}
    assert APPEND_ONLY in attempt.patch(body, "merge")


@pytest.mark.parametrize(
    ("archived", "kept", "why"),
    [
        pytest.param(2, 4, "follows the last one archived", id="mark without archiving"),
        pytest.param(0, 2, "follows the last one archived", id="archiving without mark"),
        pytest.param(4, 0, "cannot be archived away", id="everything"),
    ],
)
def test_the_archive_mark_and_the_entries_go_together(
    attempt: Attempt, archived: int, kept: int, why: str
) -> None:
    entries = [attempt.next, *attempt.newest_first[:kept]]
    assert why in attempt.patch({"status": {"archived": archived, "conditions": entries}}, "merge")


def test_the_archive_mark_cannot_go_back_or_away(attempt: Attempt) -> None:
    entries = [attempt.next, *attempt.newest_first[:2]]
    assert attempt.patch({"status": {"archived": 2, "conditions": entries}}, "merge") == ""
    back = {"op": "replace", "path": "/status/archived", "value": 1}
    assert "cannot go back" in attempt.patch([back])
    assert "cannot go back" in attempt.patch([{"op": "remove", "path": "/status/archived"}])


def test_an_edit_cannot_hide_in_an_archiving_write(attempt: Attempt) -> None:
    kept = [{**attempt.newest_first[0], "message": "x"}, attempt.newest_first[1]]
    body = {"status": {"archived": 2, "conditions": [attempt.next, *kept]}}
    assert APPEND_ONLY in attempt.patch(body, "merge")


@pytest.mark.parametrize(
    "change",
    [
        {"message": "x" * (MESSAGE_LENGTH + 1)},
        {"reason": "X" * (REASON_LENGTH + 1)},
        {"reason": "two words"},
        {"type": "lower"},
        {"status": "Maybe"},
        {"actor": "x" * (ACTOR_LENGTH + 1)},
        {"actor": ""},
        {"requestId": "x" * (REQUEST_ID_LENGTH + 1)},
        {"data": {"k": "x" * (DATA_VALUE_LENGTH + 1)}},
        {"data": {f"k{i}": "" for i in range(DATA_ENTRIES + 1)}},
        {"digest": "not hex"},
        {"lastTransitionTime": "yesterday"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_an_entry_keeps_to_its_form(attempt: Attempt, change: dict[str, object]) -> None:
    assert "is invalid" in attempt.patch([add({**attempt.next, **change})])


@pytest.mark.parametrize("field", ["sequence", "type", "status", "reason", "actor", "digest"])
def test_an_entry_lacks_nothing(attempt: Attempt, field: str) -> None:
    entry = {key: value for key, value in attempt.next.items() if key != field}
    assert "Required value" in attempt.patch([add(entry)])


def test_a_log_cannot_be_forged_at_creation(attempt: Attempt) -> None:
    forged = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": attempt.kind.resource.kind,
        "metadata": {"name": unique("forged")},
        "spec": attempt.kind.spec,
        "status": {"conditions": attempt.newest_first},
    }
    created = attempt.server.run_kubectl(
        "create", "-o", "json", "-f", "-", stdin=json.dumps(forged)
    )
    assert "status" not in json.loads(created.stdout)


async def test_a_full_log_is_within_the_api_server_s_budget(
    client: KubernetesClient, kind: Kind
) -> None:
    store = KubernetesStore(client, NAMESPACE, kind.resource, Logged)
    item = await store.create(kind.draft("full"))
    for _ in range(LIVE_ENTRIES // 2):
        item = await append(store, item, READY, NOT_READY)
    assert item.log.room == 0
    assert following(item, READY)[0].sequence == LIVE_ENTRIES + 1


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("timeoutSeconds", 60, 61),
        ("timeoutSeconds", None, 60),
        ("terminationPolicy", {"type": "Delete"}, None),
        ("network", {"allowClusterDNS": False}, {"allowClusterDNS": True}),
        ("rootfsSnapshotSources", None, [{"snapshotName": "s"}]),
    ],
)
def test_what_a_sandbox_was_promised_cannot_be_changed(
    api_server: ApiServer, field: str, before: object, after: object
) -> None:
    name = unique("immutable")
    spec = {**SPEC, **({} if before is None else {field: before})}
    assert _create(api_server, name, spec) == ""
    patch = json.dumps({"spec": {field: after}})
    done = api_server.run_kubectl("patch", "sandbox", name, "--type=merge", f"--patch={patch}")
    assert f"{field} is immutable" in done.stderr


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({}, "Required value"),
        ({**SPEC, "timeoutSeconds": 0}, "greater than or equal to 1"),
        ({**SPEC, "startupTimeoutSeconds": 0}, "greater than or equal to 1"),
        ({**SPEC, "terminationPolicy": {"type": "SnapshotRootfs"}}, "if and only if"),
        ({**SPEC, "terminationPolicy": {"type": "Delete", "snapshotRootfs": {}}}, "if and only if"),
        ({**SPEC, "network": {"allowedEgressCIDRs": ["1.2.3.4"]}}, "is not a CIDR range"),
        ({**SPEC, "network": {"allowedEgressCIDRs": ["2001:db8::/32"]}}, "needs allowIPv6Egress"),
        ({**SPEC, "network": {"nameservers": ["dns.example"]}}, "is not an IP address"),
        ({**SPEC, "network": {"allowedEgressCIDRs": ["10.0.0.0/8"] * 17}}, "at most 16"),
        *(
            ({**SPEC, "network": {"allowedEgressDomains": [text]}}, complaint)
            for text, complaint in (
                ("https://example.com", "is no name"),
                ("Example.com", "is no name"),
                ("*", "is no name"),
                ("*.com", "is no name"),
                ("a.*.com", "is no name"),
                ("example.com.", "is no name"),
                ("1.2.3.4", "is no name"),
                ("bücher.example", "is no name"),
                ("example.com:0", "is no name"),
                ("example.com:65536", "has no port from 1 to 65535"),
            )
        ),
        ({**SPEC, "network": {"allowedEgressDomains": ["a.com"] * 33}}, "at most 32"),
        ({**SPEC, "network": {"allowedEgressDomains": [LONG] * 5}}, "over 1024 characters"),
        *(
            ({**SPEC, "network": {"allowedEgressDomains": [], **other}}, "goes round")
            for other in (
                {"allowInternetEgress": True},
                {"allowClusterDNS": True},
                {"nameservers": ["1.1.1.1"]},
            )
        ),
        ({**SPEC, "network": {"egressRateLimitBytesPerSecond": 0}}, "greater than or equal to 1"),
        ({**SPEC, "rootfsSnapshotSources": [{"snapshotName": "a"}] * 2}, "needs a containerName"),
        (
            {**SPEC, "rootfsSnapshotSources": [{"snapshotName": "a", "containerName": "c"}] * 2},
            "from one snapshot only",
        ),
    ],
)
def test_a_specification_keeps_to_its_form(
    api_server: ApiServer, spec: dict[str, Any], complaint: str
) -> None:
    assert complaint in _create(api_server, unique("spec"), spec)


def test_the_name_leaves_room_for_the_names_made_from_it(api_server: ApiServer) -> None:
    assert "at most 47 characters" in _create(api_server, "n" * 48, SPEC)
    assert _create(api_server, "n" * 47, SPEC) == ""


SNAPSHOT: dict[str, Any] = {"sandboxName": "s"}


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("sandboxName", "s", "t"),
        ("sandboxUID", None, "u"),
        ("snapshotName", "n", "m"),
        ("containerName", "c", None),
        ("timeoutSeconds", 60, 61),
        ("replace", False, True),
        ("pause", True, False),
        ("objectTTLSeconds", None, 60),
        ("trigger", "Request", "TerminationPolicy"),
    ],
)
def test_what_a_snapshot_was_asked_to_be_cannot_be_changed(
    api_server: ApiServer, field: str, before: object, after: object
) -> None:
    name = unique("immutable")
    spec = {**SNAPSHOT, **({} if before is None else {field: before})}
    assert _create(api_server, name, spec, "RootfsSnapshot") == ""
    patch = json.dumps({"spec": {field: after}})
    done = api_server.run_kubectl("patch", "rfs", name, "--type=merge", f"--patch={patch}")
    assert f"{field} is immutable" in done.stderr


def test_how_long_a_snapshot_is_kept_can_be_changed(api_server: ApiServer) -> None:
    name = unique("mutable")
    assert _create(api_server, name, SNAPSHOT, "RootfsSnapshot") == ""
    patch = json.dumps({"spec": {"ttlSecondsAfterFinished": 0, "deletionPolicy": "Delete"}})
    done = api_server.run_kubectl("patch", "rfs", name, "--type=merge", f"--patch={patch}")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({}, "give either sandboxName"),
        ({**SNAPSHOT, "adopt": True, "snapshotName": "n"}, "give either sandboxName"),
        ({"adopt": True}, "snapshotName says which object"),
        ({"adopt": True, "snapshotName": "n", "pause": True}, "not of one that is adopted"),
        ({"sandboxName": ""}, "should be at least 1"),
        ({"sandboxName": "Upper"}, "should match"),
        ({"sandboxName": "s" * 48}, "than 47"),
        ({**SNAPSHOT, "snapshotName": "../up"}, "should match"),
        ({**SNAPSHOT, "snapshotName": "n" * 60}, "than 59"),
        ({**SNAPSHOT, "containerName": "a.b"}, "should match"),
        ({**SNAPSHOT, "timeoutSeconds": 0}, "greater than or equal to 1"),
        ({**SNAPSHOT, "ttlSecondsAfterFinished": -1}, "greater than or equal to 0"),
        ({**SNAPSHOT, "objectTTLSeconds": 0}, "greater than or equal to 1"),
        ({**SNAPSHOT, "deletionPolicy": "Keep"}, "supported values"),
    ],
)
def test_a_snapshot_s_specification_keeps_to_its_form(
    api_server: ApiServer, spec: dict[str, Any], complaint: str
) -> None:
    assert complaint in _create(api_server, unique("spec"), spec, "RootfsSnapshot")


def test_a_snapshot_s_name_leaves_room_for_its_job_s(api_server: ApiServer) -> None:
    assert "at most 59 characters" in _create(api_server, "n" * 60, SNAPSHOT, "RootfsSnapshot")
    assert _create(api_server, "n" * 59, SNAPSHOT, "RootfsSnapshot") == ""


def _create(server: ApiServer, name: str, spec: dict[str, Any], kind: str = "Sandbox") -> str:
    body = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    return server.run_kubectl("create", "-f", "-", stdin=json.dumps(body)).stderr
