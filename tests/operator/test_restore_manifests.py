"""The pod of a sandbox that starts from snapshots, and which ones cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from isola_lifecycle import naming
from isola_lifecycle.sandbox.network import NOTHING
from isola_lifecycle.sandbox.ranges import blocked
from isola_operator.credentials import Credentials
from isola_operator.manifests.faults import faults
from isola_operator.manifests.pod import PodSettings, build
from isola_operator.pods import decode_pod
from isola_operator.settings import settings_from
from isola_process.environment import SettingsError
from isola_store.port import Sandbox

UID = "11111111-1111-4111-8111-111111111111"
ROOT = "/var/lib/isola/isola-system.isola/staged"
SETTINGS = PodSettings(
    runtime_class="gvisor", sidecar_image="sidecar:1", staging_root=ROOT, gate_seconds=7
)
CREDENTIALS = Credentials("-----BEGIN CERTIFICATE-----", "TUlH-_w=")
A, B = ({"name": name, "image": "python"} for name in "ab")


def sandbox(
    *sources: tuple[str, str], containers: tuple[dict[str, Any], ...] = (A, B), **pod: Any
) -> Sandbox:
    wanted = [
        {"snapshotName": snapshot, **({"containerName": container} if container else {})}
        for container, snapshot in sources
    ]
    return Sandbox(
        name="s",
        uid=UID,
        generation=1,
        resource_version="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        spec={
            "podTemplate": {"spec": {"containers": list(containers), **pod}},
            "rootfsSnapshotSources": wanted,
        },
    )


def built(item: Sandbox, settings: PodSettings = SETTINGS) -> dict[str, Any]:
    return build(item, NOTHING, settings, CREDENTIALS)


def gate_of(pod: dict[str, Any]) -> dict[str, Any]:
    (gate,) = (c for c in pod["spec"]["initContainers"] if c["name"] == "archive-gate")
    return gate


def test_gvisor_is_told_where_each_archive_is() -> None:
    annotations = built(sandbox(("b", "work"), ("a", "base")))["metadata"]["annotations"]
    restored = {k: v for k, v in annotations.items() if k.startswith("dev.gvisor.tar.")}
    assert restored == {
        "dev.gvisor.tar.rootfs.upper.a": f"{ROOT}/{UID}/a.tar",
        "dev.gvisor.tar.rootfs.upper.b": f"{ROOT}/{UID}/b.tar",
    }


def test_the_gate_waits_for_a_mark_in_a_folder_that_has_nothing_else() -> None:
    pod = built(sandbox(("a", "base")))
    gate = gate_of(pod)
    assert gate["command"][-2:] == ["isola_sidecar.staged", "/isola-gate/staged"]
    assert "restartPolicy" not in gate  # it ends, and what it guards starts after that
    assert "lifecycle" not in gate  # a pod with a hook under way cannot be ended
    assert gate["volumeMounts"] == [
        {"name": "isola-gate", "mountPath": "/isola-gate", "readOnly": True}
    ]
    (volume,) = pod["spec"]["volumes"]
    assert volume == {
        "name": "isola-gate",
        "hostPath": {"path": f"{ROOT}/{UID}/gate", "type": "DirectoryOrCreate"},
    }
    archives = [v for k, v in pod["metadata"]["annotations"].items() if "tar.rootfs" in k]
    assert not any(path.startswith(volume["hostPath"]["path"]) for path in archives)


def test_no_other_container_has_anything_of_the_node() -> None:
    pod = built(sandbox(("a", "base"), volumes=[{"name": "v", "emptyDir": {}}]))
    names = [c["name"] for c in pod["spec"]["initContainers"]]
    assert names == ["sandbox-sidecar", "network-gate", "archive-gate"]
    others = [*pod["spec"]["initContainers"][:2], *pod["spec"]["containers"]]
    assert all("isola-gate" not in str(each) for each in others)
    assert [v["name"] for v in pod["spec"]["volumes"]] == ["v", "isola-gate"]


def test_a_template_cannot_get_at_the_volume_by_its_name() -> None:
    mount = {"name": "isola-gate", "mountPath": "/mine"}
    device = {"name": "isola-gate1", "devicePath": "/dev/mine"}
    greedy = {**A, "volumeMounts": [mount], "volumeDevices": [device]}
    pod = built(sandbox(("a", "base"), containers=(greedy,), volumes=[{"name": "isola-gate2"}]))
    volume = pod["spec"]["volumes"][-1]
    assert volume["name"] == "isola-gate3"
    assert gate_of(pod)["volumeMounts"][0]["name"] == "isola-gate3"


def test_where_networks_are_not_looked_at_there_is_a_gate_for_archives_all_the_same() -> None:
    without = replace(SETTINGS, gate_seconds=0)
    pod = built(sandbox(("a", "base")), without)
    assert [c["name"] for c in pod["spec"]["initContainers"]] == ["sandbox-sidecar", "archive-gate"]
    assert gate_of(pod)["volumeMounts"]
    plain = built(sandbox(), without)
    assert [c["name"] for c in plain["spec"]["initContainers"]] == ["sandbox-sidecar"]


def test_a_sandbox_without_sources_has_nothing_of_this() -> None:
    pod = built(sandbox())
    assert "volumes" not in pod["spec"]
    assert "archive-gate" not in str(pod)
    assert not any("tar" in key for key in pod["metadata"]["annotations"])


# --- what cannot be ----------------------------------------------------------------------------


def found(item: Sandbox, *, restores: bool = True) -> tuple[str, ...]:
    return faults(item.spec, blocked(), snapshots=True, restores=restores)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(sandbox(("a", "base"), ("b", "base")), id="each by name"),
        pytest.param(sandbox(("", "base.1-x"), containers=(A,)), id="the only one"),
        pytest.param(
            sandbox(("c" * 35, "s" * 59), containers=({"name": "c" * 35, "image": "i"},)),
            id="the longest names",
        ),
    ],
)
def test_what_can_be_restored_has_no_faults(item: Sandbox) -> None:
    assert found(item) == ()


READ_ONLY = {**A, "securityContext": {"readOnlyRootFilesystem": True}}
LONG = {"name": "c" * 36, "image": "i"}
FAULTY = [
    pytest.param(sandbox(("", "base")), "[0].containerName", "a, b", id="which container"),
    pytest.param(sandbox(("c", "base")), "[0].containerName", "'c'", id="no such container"),
    pytest.param(
        sandbox(("a", "base"), ("a", "work")), "[1].containerName", "already", id="one from two"
    ),
    pytest.param(sandbox(("a", "Base")), "[0].snapshotName", "'Base'", id="no name"),
    pytest.param(sandbox(("a", "s" * 60)), "[0].snapshotName", "no name", id="too long a name"),
    pytest.param(sandbox(("a", "../b")), "[0].snapshotName", "no name", id="a path"),
    pytest.param(
        sandbox((LONG["name"], "base"), containers=(LONG,)), "[0].containerName", "35", id="longer"
    ),
    pytest.param(
        sandbox(("a", "base"), containers=(READ_ONLY,)),
        "[0].containerName",
        "readOnlyRootFilesystem",
        id="a root that nobody writes to",
    ),
]


@pytest.mark.parametrize(("item", "where", "what"), FAULTY)
def test_what_cannot_be_restored_is_named(item: Sandbox, where: str, what: str) -> None:
    (fault,) = found(item)
    assert fault.startswith(f"spec.rootfsSnapshotSources{where}: ")
    assert what in fault


def test_an_installation_without_snapshots_says_what_to_set() -> None:
    (fault,) = found(sandbox(("a", "base")), restores=False)
    assert fault.startswith("spec.rootfsSnapshotSources: this installation has no snapshots")
    assert "operator.sandboxRuntime.rootfssnapshot.enabled" in fault


def test_a_name_that_fits_makes_an_annotation_that_kubernetes_takes() -> None:
    key = naming.ROOTFS_ANNOTATION + "c" * naming.RESTORED_CONTAINER_LENGTH
    assert len(key) == 63


# --- what the gate finds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "told"), [("Linux 6.1.0\n", "Linux 6.1.0"), ("", "what it saw is not known")]
)
def test_a_gate_that_is_not_in_gvisor_is_told(message: str, told: str) -> None:
    ended = {"exitCode": naming.STAGED_NOT_GVISOR, "message": message}
    status = {"initContainerStatuses": [{"name": "archive-gate", "state": {"terminated": ended}}]}
    pod = decode_pod({"metadata": {"name": "s-pod", "uid": "p"}, "status": status}).pod
    assert (pod.unrestorable, pod.unenforced) == (told, "")


# --- settings ----------------------------------------------------------------------------------

ENABLED = {
    "ISOLA_SANDBOX_NAMESPACE": "ns",
    "ISOLA_SANDBOX_SIDECAR_IMAGE": "sidecar:1",
    "ISOLA_ROOTFSSNAPSHOT_ENABLED": "true",
    "ISOLA_NODE_NAMESPACE": "nodes",
    "ISOLA_ROOTFSSNAPSHOT_BUCKET_URL": "s3://bucket",
    "ISOLA_SNAPSHOT_UPLOADER_IMAGE": "uploader:1",
    "ISOLA_ROOTFSSNAPSHOT_STAGING_ROOT": ROOT,
}


def test_where_archives_are_staged_is_a_setting_of_installations_with_snapshots() -> None:
    assert settings_from(ENABLED).staging_root == ROOT
    assert settings_from({**ENABLED, "ISOLA_ROOTFSSNAPSHOT_ENABLED": "false"}).staging_root == ""


@pytest.mark.parametrize("value", ["", "staged"])
def test_it_is_a_path_on_the_nodes(value: str) -> None:
    with pytest.raises(SettingsError, match="ISOLA_ROOTFSSNAPSHOT_STAGING_ROOT"):
        settings_from({**ENABLED, "ISOLA_ROOTFSSNAPSHOT_STAGING_ROOT": value})
