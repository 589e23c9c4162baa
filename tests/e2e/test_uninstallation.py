"""A release of its own names is installed, used and removed as the chart's pages say: what is left.

The definitions stay those of the cluster's other release, and are not touched. What touches nodes
has a namespace of its own, and in the release namespace Pod Security is `restricted`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cluster import SYSTEM, Cluster, fresh, until
from support.registry import Registry, registry
from support.toolchain import ROOT

pytestmark = pytest.mark.timeout(600)

CHART = ROOT / "chart"
RELEASE = "leaving"
HOME, INSIDE, NODES = "isola-leaving", "isola-leaving-sandboxes", "isola-leaving-nodes"
OF_THE_RELEASE = f"app.kubernetes.io/part-of=isola,app.kubernetes.io/instance={RELEASE}"
# What every namespace has, what tells of the past, and what is promised to stay.
KUBERNETES_OWN = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
STAYING = {"sandboxrecord.sandbox.isola.run", "rootfssnapshotrecord.sandbox.isola.run"}
PASSING = {"event", "event.events.k8s.io"}


def commands_of(page: Path, heading: str) -> list[str]:
    """Return the commands in a section of a page."""
    section = page.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    text = "\n".join(each[1] for each in re.finditer(r"^    (.*)$", section, re.MULTILINE))
    return text.replace("\\\n", "").splitlines()


@pytest.fixture
def helm(cluster: Cluster, tmp_path: Path) -> Iterator[Registry]:
    """Helm, and namespaces that are gone afterwards, whatever is in them."""
    for namespace, level in ((HOME, "restricted"), (INSIDE, "privileged")):
        cluster.kubectl("create", "namespace", namespace)
        label = f"pod-security.kubernetes.io/enforce={level}"
        cluster.kubectl("label", "namespace", namespace, label)
    with registry(tmp_path / "registry") as started:
        yield started
    for kind in ("sandboxes", "rootfssnapshots"):
        cluster.kubectl("delete", kind, "--all", "-n", INSIDE, "--timeout=60s", check=False)
    arguments = ("uninstall", RELEASE, "--namespace", HOME, "--ignore-not-found")
    started.helm(*arguments, environment=cluster.environment)
    cluster.kubectl("delete", "namespace", HOME, INSIDE, "--wait=false")
    for node in cluster.get("nodes", namespace="")["items"]:
        cluster.on_node(node["metadata"]["name"], f"rm -rf /var/lib/isola/{HOME}.*")


def shown(cluster: Cluster, command: str) -> list[str]:
    """Return the objects that one of the page's commands shows of this release."""
    assert command.count("app.kubernetes.io/part-of=isola") == 1
    mine = command.replace("app.kubernetes.io/part-of=isola", OF_THE_RELEASE)
    done = subprocess.run(
        ["sh", "-c", f"{mine} --output=name"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


def everything_in(cluster: Cluster, namespace: str) -> set[str]:
    """Return all objects of a namespace, but what every namespace has."""
    listed = ("api-resources", "--namespaced", "--verbs=list", "--output=name")
    kinds = set(cluster.kubectl(*listed).stdout.split())
    found = cluster.kubectl("get", ",".join(sorted(kinds)), "-n", namespace, "--output=name")
    names = set(found.stdout.split()) - KUBERNETES_OWN
    return {name for name in names if name.partition("/")[0] not in PASSING}


def values_of(cluster: Cluster, helm: Registry) -> dict[str, Any]:
    """Return the values of the cluster's own release, with what cannot be there twice changed."""
    told = helm.helm(
        *("get", "values", "isola", "--namespace", SYSTEM, "--output=json"),
        environment=cluster.environment,
    )
    values = json.loads(told)
    values["sandboxNamespace"] = {"name": INSIDE}
    values["nodeNamespace"] = {"name": NODES}
    values["crds"] = {"enabled": False}
    values["apiGateway"]["service"] = {"type": "ClusterIP"}
    return values


def test_what_is_uninstalled_as_the_pages_say_leaves_records_and_nothing_else(
    cluster: Cluster, helm: Registry
) -> None:
    helm.push(CHART)
    version = ("--plain-http", "--wait", "--timeout", "5m", "--values", "-")
    where = ("--namespace", HOME)
    helm.helm(
        *("install", RELEASE, helm.chart, *where, *version),
        environment=cluster.environment,
        stdin=json.dumps(values_of(cluster, helm)),
    )
    helm.helm("test", RELEASE, *where, environment=cluster.environment)
    used(cluster)
    assert {name.partition("/")[0] for name in everything_in(cluster, NODES)} >= {"daemonset.apps"}

    namespaced, clusterwide = commands_of(CHART / "policies.md", "What an uninstallation leaves")
    assert "serviceaccount/leaving-isola-operator" in shown(cluster, namespaced)
    assert shown(cluster, clusterwide)  # so both see what is there, and none of it is there later

    for kind in ("sandboxes", "rootfssnapshots"):
        cluster.kubectl("delete", kind, "--all", "-n", INSIDE)
    helm.helm("uninstall", RELEASE, *where, "--wait", environment=cluster.environment)

    until(lambda: not shown(cluster, namespaced), seconds=60, what="all its objects are gone")
    assert shown(cluster, clusterwide) == []
    until(lambda: not everything_in(cluster, HOME), seconds=60, what="nothing is in its namespace")
    gone = ("wait", "--for=delete", f"namespace/{NODES}", "--timeout=110s")
    cluster.kubectl(*gone)
    left = everything_in(cluster, INSIDE)
    assert left, "the histories of what has been are kept"
    assert {name.partition("/")[0] for name in left} <= STAYING, left


def used(cluster: Cluster) -> None:
    """Have a sandbox, a snapshot of it, and a sandbox that starts from that."""
    stored = fresh("leaving")
    pod = {"containers": [{"name": "main", "image": cluster.image, "command": ["sleep", "600"]}]}
    spec = {"startupTimeoutSeconds": 300, "podTemplate": {"spec": pod}}
    sandbox: dict[str, Any] = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": "guest", "namespace": INSIDE},
        "spec": spec,
    }
    sources = [{"snapshotName": stored, "containerName": "main"}]
    restored: dict[str, Any] = {
        **sandbox,
        "metadata": {"name": "restored", "namespace": INSIDE},
        "spec": {**spec, "rootfsSnapshotSources": sources},
    }
    snapshot: dict[str, Any] = {
        "apiVersion": "sandbox.isola.run/v1alpha1",
        "kind": "RootfsSnapshot",
        "metadata": {"name": "guest", "namespace": INSIDE},
        "spec": {"sandboxName": "guest", "containerName": "main", "snapshotName": stored},
    }
    for item, condition in ((sandbox, "Ready"), (snapshot, "Succeeded"), (restored, "Ready")):
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(item))
        which = f"{item['kind'].lower()}/{item['metadata']['name']}"
        waiting = ("wait", which, "-n", INSIDE, f"--for=condition={condition}", "--timeout=110s")
        cluster.kubectl(*waiting)
