"""From one version of the chart to the next: what becomes of older values, and what moves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import CHART, Chart, RefusedError, Values
from support.kubernetes_server import ApiServer

RELEASE_NAMESPACE, SANDBOX_NAMESPACE, NODES = "moving-system", "moving", "moving-nodes"
RELEASE = ("isola", "--namespace", RELEASE_NAMESPACE)
SNAPSHOTS = {
    "enabled": True,
    "storage": {
        "type": "s3",
        "s3": {"bucket": "b", "region": "r", "accessKeyId": "a", "secretAccessKey": "s"},
    },
}
MINE: Values = {
    "sandboxNamespace": {"name": SANDBOX_NAMESPACE},
    "crds": {"enabled": False},
    "admissionPolicies": {"enabled": False},
    "operator": {"sandboxRuntime": {"rootfssnapshot": SNAPSHOTS}},
}
# How the chart was before what touches nodes had a namespace of its own: in the release's.
EARLIER_HELPERS = """
{{- define "isola.nodeNamespace" -}}{{ .Release.Namespace }}{{- end -}}
"""


def older(chart: Chart, folder: Path, *lacking: str) -> Chart:
    """Return a copy of the chart whose defaults lack what is at a path."""
    shutil.copytree(CHART, folder)
    path = folder / "values.yaml"
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    held = values
    for key in lacking[:-1]:
        held = held[key]
    del held[lacking[-1]]
    path.write_text(yaml.safe_dump(values))
    return replace(chart, folder=folder)


@pytest.mark.parametrize(
    ("lacking", "path"),
    [
        pytest.param(["nodeNamespace"], "nodeNamespace.name", id="a section"),
        pytest.param(
            ["operator", "network", "enforcementSeconds"],
            "operator.network.enforcementSeconds",
            id="a value whose absence would switch something off",
        ),
        pytest.param(
            ["gvisor", "installer", "runtimeClass"],
            "gvisor.installer.runtimeClass.create",
            id="a section of what is not installed",
        ),
    ],
)
def test_without_a_new_default_the_chart_says_which_flag_helps(
    chart: Chart, tmp_path: Path, lacking: list[str], path: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        older(chart, tmp_path / "chart", *lacking).render()
    assert f"{path} is not among the values" in str(refused.value)
    assert "use --reset-then-reuse-values" in str(refused.value)


def test_every_single_value_is_looked_for() -> None:
    listed = (CHART / "files" / "values.txt").read_text().split()
    assert {"operator.metrics.port", "nodeNamespace.create", "fullnameOverride"} <= set(listed)
    # Neither what may be null, nor what a user may take out of a map.
    assert "apiGateway.service.nodePort" not in listed
    assert "operator.network.clusterDNS.podLabels.k8s-app" not in listed


@pytest.fixture
def live(chart: Chart, api_server: ApiServer) -> Iterator[Chart]:
    """The chart, and an API server in which it is not installed yet."""
    made = replace(chart, kubeconfig=str(api_server.kubeconfig))
    for name in (SANDBOX_NAMESPACE, NODES):
        assert api_server.run_kubectl("create", "namespace", name).returncode == 0
    yield made
    made.run("uninstall", *RELEASE, "--ignore-not-found")
    for name in (SANDBOX_NAMESPACE, NODES):
        api_server.run_kubectl("delete", "namespace", name, "--wait=false")


KINDS = ("daemonset", "secret", "cronjob", "serviceaccount")


def all_in(namespace: str) -> dict[str, set[str]]:
    return {kind: {namespace} for kind in KINDS}


def homes(server: ApiServer) -> dict[str, set[str]]:
    """Return in which namespaces the release's snapshots have what, by kind."""
    found: dict[str, set[str]] = {}
    for kind in KINDS:
        done = server.run_kubectl(
            *("get", kind, "--all-namespaces", "--output=json"),
            "--selector=app.kubernetes.io/component in (snapshot-mounter,snapshot-uploader)",
        )
        items = json.loads(done.stdout)["items"]
        mine = {RELEASE_NAMESPACE, SANDBOX_NAMESPACE, NODES}
        found[kind] = {item["metadata"]["namespace"] for item in items} & mine
    return found


@pytest.mark.apiserver
def test_an_upgrade_moves_what_touches_nodes_and_keeps_what_was_set(
    live: Chart, api_server: ApiServer, tmp_path: Path
) -> None:
    before = older(live, tmp_path / "older", "nodeNamespace")
    templates = before.folder / "templates"
    for name in ("node-namespace.yaml", "validation.yaml", "validation/reused.yaml"):
        (templates / name).unlink()
    helpers = templates / "_helpers.tpl"
    _, _, rest = helpers.read_text().partition('{{- define "isola.nodeNamespace" -}}')
    head = helpers.read_text().removesuffix(f'{{{{- define "isola.nodeNamespace" -}}}}{rest}')
    _, _, tail = rest.partition("{{- end -}}")
    helpers.write_text(head + EARLIER_HELPERS + tail)
    before.run("install", *RELEASE, ".", "--create-namespace", values=MINE)
    assert homes(api_server) == all_in(RELEASE_NAMESPACE)

    with pytest.raises(RefusedError, match="use --reset-then-reuse-values"):
        live.run("upgrade", *RELEASE, ".", "--reuse-values")
    assert homes(api_server)["daemonset"] == {RELEASE_NAMESPACE}

    place = f"nodeNamespace.name={NODES},nodeNamespace.create=false"
    live.run("upgrade", *RELEASE, ".", "--reset-then-reuse-values", "--set", place)
    assert homes(api_server) == all_in(NODES)
    told = json.loads(live.run("get", "values", *RELEASE, "--output=json"))
    assert told["operator"] == MINE["operator"]

    live.run("rollback", "isola", "1", "--namespace", RELEASE_NAMESPACE)
    assert homes(api_server) == all_in(RELEASE_NAMESPACE)
