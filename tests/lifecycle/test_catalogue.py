"""What people are told of the log is what the code does."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from isola_lifecycle import log as limits
from isola_lifecycle import naming
from isola_lifecycle.sandbox import conditions as sandbox
from isola_lifecycle.snapshot import conditions as snapshot
from support.toolchain import ROOT

CRD: dict[str, Any] = yaml.safe_load(
    (ROOT / "chart" / "files" / "crds" / "sandboxes.sandbox.isola.run.yaml").read_text()
)


def row(meaning: Any) -> str:
    def words(items: Any) -> str:
        return ", ".join(f"`{item}`" for item in items) or "-"

    return (
        f"| `{meaning.type}` | {meaning.meaning} | {', '.join(meaning.writers)} |"
        f" {words(meaning.true)} | {words(meaning.false)} | {words(meaning.data)} |"
    )


CATALOGUES = [
    pytest.param(sandbox, "sandboxes.md", id="Sandbox"),
    pytest.param(snapshot, "snapshots.md", id="RootfsSnapshot"),
]


@pytest.mark.parametrize(("kind", "page"), CATALOGUES)
def test_the_page_prints_the_catalogue(kind: Any, page: str) -> None:
    lines = (ROOT / "api" / page).read_text().splitlines()
    assert [row(meaning) for meaning in kind.CATALOGUE] == [r for r in lines if r.startswith("| `")]


@pytest.mark.parametrize(("kind", "page"), CATALOGUES)
def test_the_catalogue_has_every_type_once_and_every_reason(kind: Any, page: str) -> None:
    assert page
    told = {reason for meaning in kind.CATALOGUE for reason in (*meaning.true, *meaning.false)}
    assert [meaning.type for meaning in kind.CATALOGUE] == list(kind.Type)
    assert told == set(kind.Reason)


@pytest.mark.parametrize(("kind", "page"), CATALOGUES)
def test_every_key_of_data_is_told_of(kind: Any, page: str) -> None:
    assert page
    keys = {key for meaning in kind.CATALOGUE for key in meaning.data}
    assert keys | {kind.Key.PHASE} == set(kind.Key)


def test_no_type_misleads_readers_that_look_for_any_true_entry() -> None:
    types = {*map(str, sandbox.Type), *map(str, snapshot.Type)}
    assert not {"Reconciling", "Stalled"} & types


def test_the_resource_and_the_kernel_have_the_same_names_and_limits() -> None:
    spec = CRD["spec"]
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (
        naming.GROUP,
        naming.KIND,
        naming.PLURAL,
    )
    (version,) = spec["versions"]
    assert version["name"] == naming.VERSION
    schema = version["schema"]["openAPIV3Schema"]
    conditions = schema["properties"]["status"]["properties"]["conditions"]
    entry = conditions["items"]["properties"]
    assert conditions["maxItems"] == limits.LIVE_ENTRIES
    assert entry["message"]["maxLength"] == limits.MESSAGE_LENGTH
    assert entry["reason"]["maxLength"] == entry["type"]["maxLength"] == limits.REASON_LENGTH
    assert entry["actor"]["maxLength"] == limits.ACTOR_LENGTH
    assert entry["requestId"]["maxLength"] == limits.REQUEST_ID_LENGTH
    assert entry["data"]["maxProperties"] == limits.DATA_ENTRIES
    assert entry["data"]["additionalProperties"]["maxLength"] == limits.DATA_VALUE_LENGTH
    assert str(naming.SANDBOX_NAME_LENGTH) in schema["x-kubernetes-validations"][0]["rule"]


def test_a_record_holds_entries_as_the_object_does() -> None:
    path = ROOT / "chart" / "files" / "crds" / "sandboxrecords.sandbox.isola.run.yaml"
    spec: dict[str, Any] = yaml.safe_load(path.read_text())["spec"]
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (
        naming.GROUP,
        naming.RECORD_KIND,
        naming.RECORD_PLURAL,
    )
    (record,), (sandbox,) = spec["versions"], CRD["spec"]["versions"]
    fields = record["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    status = sandbox["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert fields["entries"]["items"] == status["conditions"]["items"]
    assert fields["entries"]["maxItems"] == limits.LIVE_ENTRIES
