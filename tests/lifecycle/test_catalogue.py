"""What people are told of the log is what the code does."""

from __future__ import annotations

from typing import Any

import yaml

from isola_lifecycle import log as limits
from isola_lifecycle import naming
from isola_lifecycle.sandbox.conditions import CATALOGUE, Reason, Type
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


def test_the_readme_prints_the_catalogue() -> None:
    page = (ROOT / "api" / "README.md").read_text().splitlines()
    assert [row(meaning) for meaning in CATALOGUE] == [r for r in page if r.startswith("| `")]


def test_the_catalogue_has_every_type_once_and_every_reason() -> None:
    assert [meaning.type for meaning in CATALOGUE] == list(Type)
    assert {r for meaning in CATALOGUE for r in (*meaning.true, *meaning.false)} == set(Reason)


def test_no_type_misleads_readers_that_look_for_any_true_entry() -> None:
    assert not {"Reconciling", "Stalled"} & {str(each) for each in Type}


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
