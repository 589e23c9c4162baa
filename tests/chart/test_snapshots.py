"""Snapshots as installed: the uploader's and the mounter's rights, what the latter has of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import isola_mounter.settings
import isola_operator.settings
from chart.rendering import (
    NODE_NAMESPACE,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    VERSION,
    Chart,
    Manifest,
    Manifests,
    RefusedError,
)

AT = "operator.sandboxRuntime.rootfssnapshot"
KEYS = {"accessKeyId": "id", "secretAccessKey": "secret"}
GIBIBYTE = 2**30


def snapshots(**changes: Any) -> dict[str, Any]:
    """Return values with snapshots in a bucket of S3."""
    usual: dict[str, Any] = {
        "enabled": True,
        "storage": {"type": "s3", "s3": {"bucket": "b", "region": "r"}},
    }
    return {"operator": {"sandboxRuntime": {"rootfssnapshot": usual | changes}}}


def with_keys(**changes: Any) -> dict[str, Any]:
    return snapshots(storage={"type": "s3", "s3": {"bucket": "b", **KEYS}}, **changes)


def mounter(manifests: Manifests) -> Manifest:
    return manifests.named("DaemonSet", "isola-snapshot-mounter")


def container(manifests: Manifests) -> Manifest:
    (only,) = mounter(manifests)["spec"]["template"]["spec"]["containers"]
    return only


def granted(manifests: Manifests, name: str) -> set[tuple[str, str, str]]:
    """Return group, resource and verb of all that a Role in the sandbox namespace lets."""
    rules = manifests.named("Role", name)["rules"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_without_snapshots_nothing_of_them_is_there(chart: Chart) -> None:
    for item in chart.render().items:
        assert "snapshot-mounter" not in item["metadata"]["name"]
        assert "snapshot-uploader" not in item["metadata"]["name"]
    assert chart.render().of("DaemonSet") == []


# --- rights ------------------------------------------------------------------------------------

OURS = "sandbox.isola.run"


def test_the_mounter_appends_to_logs_of_sandboxes_and_reads_what_it_must(chart: Chart) -> None:
    manifests = chart.render(snapshots())
    assert granted(manifests, "isola-snapshot-mounter") == {
        ("", "pods", "list"),
        ("", "pods", "watch"),
        (OURS, "rootfssnapshots", "list"),
        (OURS, "rootfssnapshots", "watch"),
        (OURS, "sandboxes", "get"),
        (OURS, "sandboxes/status", "patch"),
    }
    binding = manifests.named("RoleBinding", "isola-snapshot-mounter")
    assert binding["metadata"]["namespace"] == SANDBOX_NAMESPACE
    (subject,) = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == ("isola-snapshot-mounter", NODE_NAMESPACE)
    account = manifests.named("ServiceAccount", "isola-snapshot-mounter")
    assert account["automountServiceAccountToken"] is False
    # Nothing beside that, in whatever namespace, and nothing cluster-wide.
    bindings = manifests.of("RoleBinding") + manifests.of("ClusterRoleBinding")
    bound = [b for b in bindings if subject in b["subjects"]]
    assert bound == [binding]


def test_the_uploader_appends_to_logs_of_snapshots(chart: Chart) -> None:
    manifests = chart.render(snapshots())
    assert granted(manifests, "isola-snapshot-uploader") == {
        (OURS, "rootfssnapshots", "get"),
        (OURS, "rootfssnapshots", "list"),
        (OURS, "rootfssnapshots/status", "patch"),
    }
    binding = manifests.named("RoleBinding", "isola-snapshot-uploader")
    assert binding["metadata"]["namespace"] == SANDBOX_NAMESPACE
    (subject,) = binding["subjects"]
    account = manifests.named("ServiceAccount", "isola-snapshot-uploader")["metadata"]
    assert (subject["name"], subject["namespace"]) == (account["name"], NODE_NAMESPACE)
    assert account["namespace"] == NODE_NAMESPACE


def test_each_writes_logs_under_its_own_name(chart: Chart) -> None:
    prefix = f"system:serviceaccount:{NODE_NAMESPACE}:isola-"
    for values, known in ((snapshots(), True), ({}, False)):
        policy = chart.render(values).named(
            "ValidatingAdmissionPolicy", f"{RELEASE_NAMESPACE}.isola.writers"
        )
        (writers,) = (v for v in policy["spec"]["variables"] if v["name"] == "writers")
        entry = f'"{prefix}snapshot-mounter":"mounter"'
        assert (entry in writers["expression"]) is known


# --- what it has of its node -------------------------------------------------------------------


def test_of_its_node_the_mounter_has_one_directory_and_no_capability(chart: Chart) -> None:
    spec = mounter(chart.render(snapshots()))["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    paths = {v["name"]: v["hostPath"] for v in spec["volumes"] if "hostPath" in v}
    directory = f"/var/lib/isola/{RELEASE_NAMESPACE}.isola"
    assert paths == {"archives": {"path": directory, "type": "DirectoryOrCreate"}}
    assert spec["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (only,) = spec["containers"]
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("hostPort" not in port for port in only["ports"])


def test_it_is_wherever_sandboxes_may_be_unless_it_is_told_otherwise(chart: Chart) -> None:
    spec = mounter(chart.render(snapshots()))["spec"]["template"]["spec"]
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert "nodeSelector" not in spec
    told = {
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "nodeSelector": {"sandboxes": "true"},
        "priorityClassName": "system-node-critical",
        "podAnnotations": {"a": "b"},
    }
    template = mounter(chart.render(snapshots(snapshotMounter=told)))["spec"]["template"]
    assert template["metadata"]["annotations"] == {"a": "b"}
    for key in ("tolerations", "nodeSelector", "priorityClassName"):
        assert template["spec"][key] == told[key]


def test_two_releases_share_no_directory(chart: Chart) -> None:
    def directory(**release: str) -> str:
        (item,) = chart.render(snapshots(), **release).of("DaemonSet")
        volumes = item["spec"]["template"]["spec"]["volumes"]
        return next(v["hostPath"]["path"] for v in volumes if "hostPath" in v)

    assert len({directory(), directory(release="other"), directory(namespace="other")}) == 3


def test_it_runs_the_uploader_s_image(chart: Chart) -> None:
    manifests = chart.render(snapshots())
    only = container(manifests)
    image = f"ghcr.io/isola-run/isola-snapshot-uploader:{VERSION}"
    assert only["image"] == image
    assert only["command"] == ["python3", "-IBu", "-m", "isola_mounter"]
    assert manifests.environment("isola-operator")["ISOLA_SNAPSHOT_UPLOADER_IMAGE"] == image


def test_a_daemon_set_selects_its_own_pods(chart: Chart) -> None:
    spec = mounter(chart.render(snapshots()))["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert "app.kubernetes.io/version" not in spec["selector"]["matchLabels"]


# --- what they are told ------------------------------------------------------------------------


def environment(manifests: Manifests) -> dict[str, str]:
    references = {"ISOLA_NODE_NAME": "n1"}
    return {v["name"]: v.get("value") or references[v["name"]] for v in container(manifests)["env"]}


def operator(manifests: Manifests) -> isola_operator.settings.Settings:
    references = {
        "ISOLA_NAMESPACE": RELEASE_NAMESPACE,
        "ISOLA_POD_NAME": "p",
        "ISOLA_POD_IPS": "10.0.0.9",
    }
    told = manifests.environment("isola-operator")
    return isola_operator.settings.settings_from(
        {name: references[name] if value is None else value for name, value in told.items()}
    )


def test_the_mounter_reads_what_was_installed(chart: Chart) -> None:
    values = snapshots(
        snapshotMounter={"cacheSizeLimit": "3Gi", "hostMountPath": "/data/isola"},
        storage={"type": "s3", "s3": {"bucket": "b", "endpoint": "http://minio:9000"}},
    )
    manifests = chart.render(values)
    settings = isola_mounter.settings.settings_from(environment(manifests))
    assert settings == isola_mounter.settings.Settings(
        namespace=SANDBOX_NAMESPACE,
        node="n1",
        bucket_url="s3://b?endpoint=http%3A%2F%2Fminio%3A9000",
        folder=Path("/archives"),
        cache_bytes=3 * GIBIBYTE,
    )
    (mount,) = (m for m in container(manifests)["volumeMounts"] if m["name"] == "archives")
    assert mount == {"name": "archives", "mountPath": str(settings.folder)}
    assert settings.bucket_url == operator(manifests).snapshots.bucket_url


def test_operator_and_mounter_mean_the_same_folder_of_a_node(chart: Chart) -> None:
    manifests = chart.render(snapshots(snapshotMounter={"hostMountPath": "/data/isola"}))
    spec = mounter(manifests)["spec"]["template"]["spec"]
    (path,) = (v["hostPath"]["path"] for v in spec["volumes"] if "hostPath" in v)
    assert operator(manifests).staging_root == f"{path}/staged"


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error"])
def test_the_mounter_accepts_every_level_of_the_schema(chart: Chart, level: str) -> None:
    values = snapshots()
    values["operator"]["logging"] = {"level": level}
    assert isola_mounter.settings.settings_from(environment(chart.render(values)))


# --- credentials -------------------------------------------------------------------------------


def test_keys_in_the_values_become_a_secret_for_each_and_none_is_beside_sandboxes(
    chart: Chart,
) -> None:
    manifests = chart.render(with_keys())
    found = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item["stringData"]
        for item in manifests.of("Secret")
    }
    data = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert found == {
        (NODE_NAMESPACE, "isola-operator-snapshot-uploader-credentials"): data,
        (NODE_NAMESPACE, "isola-operator-snapshot-mounter-credentials"): data,
    }
    (source,) = container(manifests)["envFrom"]
    assert source["secretRef"]["name"] == "isola-operator-snapshot-mounter-credentials"
    secret = operator(manifests).snapshots.credentials_secret
    assert secret == "isola-operator-snapshot-uploader-credentials"


def test_azure_s_key_likewise(chart: Chart) -> None:
    azure = {"container": "c", "storageAccount": "a", "accountKey": "k"}
    manifests = chart.render(snapshots(storage={"type": "azure", "azure": azure}))
    for item in manifests.of("Secret"):
        assert item["stringData"] == {"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_KEY": "k"}
    assert len(manifests.of("Secret")) == 2


def test_secrets_that_exist_are_used_and_none_is_made(chart: Chart) -> None:
    manifests = chart.render(
        snapshots(uploader={"existingSecret": "up"}, snapshotMounter={"existingSecret": "down"})
    )
    assert manifests.of("Secret") == []
    (source,) = container(manifests)["envFrom"]
    assert source["secretRef"]["name"] == "down"
    assert operator(manifests).snapshots.credentials_secret == "up"


def test_a_cloud_identity_needs_no_secret(chart: Chart) -> None:
    account = {"annotations": {"eks.amazonaws.com/role-arn": "arn"}}
    manifests = chart.render(
        snapshots(uploader={"serviceAccount": account}, snapshotMounter={"serviceAccount": account})
    )
    assert manifests.of("Secret") == []
    assert "envFrom" not in container(manifests)
    for name in ("isola-snapshot-mounter", "isola-snapshot-uploader"):
        found = manifests.named("ServiceAccount", name)
        assert found["metadata"]["annotations"] == account["annotations"]


# --- what does not fit together ----------------------------------------------------------------

NAMED = {"serviceAccount": {"create": False}}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        pytest.param(snapshots(storage={"type": ""}), "storage.type is empty", id="no storage"),
        pytest.param(
            snapshots(storage={"type": "s3"}), "storage.s3.bucket is empty", id="no bucket"
        ),
        pytest.param(
            snapshots(storage={"type": "azure", "azure": {"container": "c"}}),
            "storage.azure.storageAccount is empty",
            id="no account",
        ),
        pytest.param(
            snapshots(storage={"type": "s3", "s3": {"bucket": "b", "accessKeyId": "id"}}),
            "one half of a key pair",
            id="half a key",
        ),
        *(
            pytest.param(
                with_keys(**{who: {"existingSecret": "x"}}),
                f"credentials both in storage.s3 and in {who}.existingSecret",
                id=f"two kinds of credentials, {who}",
            )
            for who in ("uploader", "snapshotMounter")
        ),
        pytest.param(
            snapshots(uploader={"existingSecret": "x"}),
            "snapshotMounter.existingSecret is not: the mounter is in the namespace isola-nodes",
            id="a secret for one of two",
        ),
        pytest.param(
            snapshots(snapshotMounter={"existingSecret": "x"}),
            "uploader.existingSecret is not: the uploader is in the namespace isola-nodes",
            id="a secret for the other of two",
        ),
        pytest.param(
            snapshots(storage={"type": "s3", "s3": {"bucket": "b"}, "gcs": {"bucket": "b"}}),
            "storage.type is s3, but storage.gcs names a place too",
            id="two places",
        ),
        *(
            pytest.param(
                snapshots(**{who: NAMED}), f"{AT}.{who}.serviceAccount.name is empty", id=who
            )
            for who in ("uploader", "snapshotMounter")
        ),
        *(
            pytest.param(
                snapshots(snapshotMounter={"hostMountPath": path}),
                f"hostMountPath is {path}, within",
                id=path,
            )
            for path in ("/etc", "/run/isola", "/var/run/isola", "/tmp/isola")
        ),
        pytest.param(
            snapshots(snapshotMounter={"hostMountPath": "/var/lib/../../etc"}),
            "Kubernetes takes no ..",
            id="a way up",
        ),
        *(
            pytest.param(
                snapshots(snapshotMounter={"hostMountPath": path}),
                "/snapshotMounter/hostMountPath'",
                id=f"{path!r}",
            )
            for path in ("", "/", "isola", "/var/lib/isola/", "/var//isola", "/var/is ola")
        ),
        pytest.param(
            snapshots(snapshotMounter={"cacheSizeLimit": "much"}),
            "/snapshotMounter/cacheSizeLimit'",
            id="no size",
        ),
        pytest.param(
            snapshots(snapshotMounter={"nfsPort": 12049}),
            "additional properties 'nfsPort' not allowed",
            id="what there is none of",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    chart: Chart, values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        chart.render(values)
    assert complaint in str(refused.value)
