"""What people are told of the log is what the code does."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from isola_lifecycle import log as limits
from isola_lifecycle import naming
from isola_lifecycle.sandbox import conditions as sandbox
from isola_lifecycle.snapshot import conditions as snapshot
from isola_store.memory import SNAPSHOT_DEFAULTS
from support.toolchain import ROOT


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


def definition(plural: str) -> dict[str, Any]:
    path = ROOT / "chart" / "files" / "crds" / f"{plural}.{naming.GROUP}.yaml"
    return yaml.safe_load(path.read_text())["spec"]


def schema_of(plural: str) -> dict[str, Any]:
    (version,) = definition(plural)["versions"]
    assert version["name"] == naming.VERSION
    return version["schema"]["openAPIV3Schema"]


RESOURCES = [
    pytest.param(resource, id=resource.kind)
    for resource in (naming.SANDBOX, naming.ROOTFS_SNAPSHOT)
]


@pytest.mark.parametrize("resource", RESOURCES)
def test_the_resource_and_the_kernel_have_the_same_names_and_limits(
    resource: naming.Resource,
) -> None:
    spec = definition(resource.plural)
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (
        naming.GROUP,
        resource.kind,
        resource.plural,
    )
    schema = schema_of(resource.plural)
    conditions = schema["properties"]["status"]["properties"]["conditions"]
    entry = conditions["items"]["properties"]
    assert conditions["maxItems"] == limits.LIVE_ENTRIES
    assert entry["message"]["maxLength"] == limits.MESSAGE_LENGTH
    assert entry["reason"]["maxLength"] == entry["type"]["maxLength"] == limits.REASON_LENGTH
    assert entry["actor"]["maxLength"] == limits.ACTOR_LENGTH
    assert entry["requestId"]["maxLength"] == limits.REQUEST_ID_LENGTH
    assert entry["data"]["maxProperties"] == limits.DATA_ENTRIES
    assert entry["data"]["additionalProperties"]["maxLength"] == limits.DATA_VALUE_LENGTH
    assert str(resource.name_length) in schema["x-kubernetes-validations"][0]["rule"]


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_record_holds_entries_as_the_object_does(resource: naming.Resource) -> None:
    spec = definition(resource.record_plural)
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (
        naming.GROUP,
        resource.record_kind,
        resource.record_plural,
    )
    fields = schema_of(resource.record_plural)["properties"]["spec"]["properties"]
    status = schema_of(resource.plural)["properties"]["status"]["properties"]
    assert resource.subject_field in fields
    assert fields["entries"]["items"] == status["conditions"]["items"]
    assert fields["entries"]["maxItems"] == limits.LIVE_ENTRIES


def without_words(value: Any) -> Any:
    """Return a part of a schema without what is said in it of the one resource."""
    if isinstance(value, dict):
        items: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {k: without_words(v) for k, v in items.items() if k != "description"}
    return value


def test_every_log_is_append_only_by_the_same_rules() -> None:
    sandbox_, snapshot_ = (schema_of(r.plural) for r in (naming.SANDBOX, naming.ROOTFS_SNAPSHOT))
    status, other = (schema["properties"]["status"] for schema in (sandbox_, snapshot_))
    assert status["x-kubernetes-validations"] == other["x-kubernetes-validations"]
    assert without_words(status) == without_words(other)
    assert sandbox_["x-kubernetes-validations"][1:] == snapshot_["x-kubernetes-validations"][1:]


def test_every_archive_is_unchangeable_by_the_same_rules() -> None:
    sandbox_, snapshot_ = (
        schema_of(r.record_plural)["properties"]["spec"]
        for r in (naming.SANDBOX, naming.ROOTFS_SNAPSHOT)
    )
    assert sandbox_["x-kubernetes-validations"] == snapshot_["x-kubernetes-validations"]
    assert sandbox_["properties"]["sandbox"] == snapshot_["properties"]["rootfsSnapshot"]


def test_what_the_memory_store_fills_in_is_what_the_schema_does() -> None:
    fields = schema_of("rootfssnapshots")["properties"]["spec"]["properties"]
    defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
    assert defaults == SNAPSHOT_DEFAULTS
