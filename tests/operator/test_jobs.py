"""The Jobs of a snapshot tell the uploader all that it asks for."""

from __future__ import annotations

from typing import Any

import pytest

from isola_lifecycle import naming
from isola_lifecycle.snapshot.state import Source
from isola_operator.jobs import decode_job
from isola_operator.manifests.job import ARCHIVE_FOLDER, JobSettings, removing, taking
from isola_operator.snapshots import job_selector
from isola_store.port import Snapshot
from isola_uploader.settings import Settings
from support.store import NOW
from support.stories import UID

SPEC = {"sandboxName": "s", "timeoutSeconds": 77, "pause": True}
SNAPSHOT = Snapshot(
    name="snap", uid=UID, generation=1, resource_version="1", created_at=NOW, spec=SPEC
)
SETTINGS = JobSettings(
    namespace="nodes",
    sandbox_namespace="boxes",
    image="uploader:1",
    bucket_url="s3://bucket",
    archive_limit="2Gi",
)


def job(command: str) -> dict[str, Any]:
    if command == "remove":
        return removing(SNAPSHOT, 60, SETTINGS)
    source = Source(node="n1", container="sandbox0", container_id="c-1")
    return taking(SNAPSHOT, source, SETTINGS)


def container(command: str) -> dict[str, Any]:
    pod = job(command)["spec"]["template"]["spec"]
    (found,) = (
        each
        for each in (*pod.get("initContainers", ()), *pod["containers"])
        if each["args"] == [command]
    )
    return found


def environment(command: str) -> dict[str, str]:
    """Return what a kubelet makes of a container's variables."""
    told: dict[str, str] = {}
    for variable in container(command)["env"]:
        source = variable.get("valueFrom", {})
        if "resourceFieldRef" in source:
            assert source["resourceFieldRef"]["resource"] == "limits.ephemeral-storage"
            limit = container(command)["resources"]["limits"]["ephemeral-storage"]
            assert limit == SETTINGS.archive_limit
            told[variable["name"]] = str(2 * 1024**3)
        else:
            told[variable["name"]] = variable["value"]
    return told


def test_the_capture_is_told_what_to_take_how_large_it_may_be_and_how_long() -> None:
    settings = Settings(environment("capture"))
    order = settings.order
    assert (order.container, order.pause) == ("c-1", True)
    assert (order.limit_bytes, order.limit_seconds) == (2 * 1024**3, 77)
    assert str(settings.folder) == ARCHIVE_FOLDER
    assert settings.runsc.root.is_absolute()
    assert container("capture")["resources"]["requests"]["ephemeral-storage"] == "0"


@pytest.mark.parametrize("command", ["upload", "remove"])
def test_whoever_writes_into_the_log_is_told_whose_by_name_and_uid(command: str) -> None:
    settings = Settings(environment(command))
    assert (settings.namespace, settings.snapshot) == ("boxes", "snap")
    assert settings.snapshot_uid == UID
    assert settings.bucket_url == "s3://bucket"


@pytest.mark.parametrize("command", ["upload", "remove"])
def test_whose_a_job_is_is_told_by_labels_for_no_owner_is_in_its_namespace(command: str) -> None:
    made = job(command)
    metadata = made["metadata"]
    assert "ownerReferences" not in metadata
    selector = job_selector("boxes")["labelSelector"].split(",")
    for labels in (metadata["labels"], made["spec"]["template"]["metadata"]["labels"]):
        for term in selector:
            key, _, value = term.partition("=")
            assert labels[key] == value or not value
    found = decode_job({**made, "metadata": {**metadata, "uid": "j"}})
    assert (found.owner_uid, naming.snapshot_name(found.name)) == (UID, "snap")


@pytest.mark.parametrize("name", ["", "jobs"])
def test_a_priority_class_is_the_pod_s_own_where_there_is_one(name: str) -> None:
    settings = JobSettings(image="uploader:1", priority_class=name)
    pod = removing(SNAPSHOT, 60, settings)["spec"]["template"]["spec"]
    assert pod.get("priorityClassName", "") == name


def test_both_containers_mean_the_same_folder() -> None:
    assert Settings(environment("upload")).folder == Settings(environment("capture")).folder


def test_the_capture_has_no_credentials_and_no_service_account() -> None:
    capture = container("capture")
    assert "envFrom" not in capture
    assert "token" not in {mount["name"] for mount in capture["volumeMounts"]}
