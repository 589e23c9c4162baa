"""Two versions of the chart, from a registry, one after the other over a cluster that is in use.

The older one is the chart itself as it could have been: another version, so that every pod rolls,
definitions that lack a column, and no policies for the control plane.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import isola
import pytest
import yaml

from e2e.test_snapshots import PATIENT, restoring, running, snapshot
from isola_lifecycle.chain import faults
from support.cluster import SYSTEM, Cluster, fresh, until
from support.registry import Registry, registry
from support.toolchain import ROOT

pytestmark = pytest.mark.timeout(900)

CHART = ROOT / "chart"
RELEASE = ("isola", "--namespace", SYSTEM)
WAITING = ("--wait", "--timeout", "5m", "--history-max", "5")
OLDER = "0.0.1"
DEFINITION = "sandboxes.sandbox.isola.run"
POLICY = "isola-default-deny"
# Counts until it is told to stop, so that whatever it has not printed was lost.
COUNTING = "i=0; while [ ! -e /tmp/enough ]; do i=$((i+1)); echo $i; sleep 0.1; done"


class Caller(threading.Thread):
    """Runs one command after the other until told to stop, by the published client."""

    def __init__(self, sandbox: isola.Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.answered = 0
        self.failed: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(0.1):
            try:
                told = self.sandbox.commands.run("echo", str(self.answered)).stdout
            except isola.IsolaError as error:
                self.failed.append(repr(error))
                continue
            if told != f"{self.answered}\n":
                self.failed.append(told)
            self.answered += 1


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[Registry]:
    """A registry with both versions."""
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    about = yaml.safe_load((older / "Chart.yaml").read_text())
    (older / "Chart.yaml").write_text(
        yaml.safe_dump({**about, "version": OLDER, "appVersion": OLDER})
    )
    (older / "templates" / "networkpolicies.yaml").unlink()
    path = older / "files" / "crds" / f"{DEFINITION}.yaml"
    definition = yaml.safe_load(path.read_text())
    del definition["spec"]["versions"][0]["additionalPrinterColumns"][-1]
    path.write_text(yaml.safe_dump(definition))
    with registry(tmp_path / "registry") as started:
        started.push(older)
        started.push(CHART)
        yield started


@pytest.fixture
def released(
    cluster: Cluster, versions: Registry, tmp_path: Path
) -> Iterator[Callable[[str], None]]:
    """Install a version over the one that is there, from the registry, with its values.

    Afterwards the chart of the checkout is there again.
    """
    values = tmp_path / "values.json"
    values.write_text(
        versions.helm("get", "values", *RELEASE, "--output=json", environment=cluster.environment)
    )

    def upgrade(*what: str) -> None:
        given = (*RELEASE[:1], *what, *RELEASE[1:], "--values", str(values))
        versions.helm("upgrade", *given, *WAITING, environment=cluster.environment)

    try:
        yield lambda version: upgrade(versions.chart, "--version", version, "--plain-http")
    finally:
        upgrade(str(CHART))
        cluster.wait_for_isola()


def columns(cluster: Cluster) -> int:
    definition = cluster.get("crd", DEFINITION)
    return len(definition["spec"]["versions"][0]["additionalPrinterColumns"])


def versions_running(cluster: Cluster) -> set[str]:
    """Return the versions of the control plane's pods, those that are going apart."""
    found = cluster.get("pods", namespace=SYSTEM, selector="app.kubernetes.io/instance=isola")
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/version"]
        for pod in found["items"]
        if "deletionTimestamp" not in pod["metadata"]
    }


def recorded(cluster: Cluster, http: httpx.Client, create: Any) -> dict[str, Any]:
    """Return the record of a life that is over."""
    name = create(startupTimeoutSeconds=PATIENT)["id"]
    running(http, name)
    http.delete(f"/sandboxes/{name}")
    until(lambda: cluster.get("sandbox", name) is None, seconds=60, what="it is gone")
    (record,) = (
        each
        for each in cluster.get("sandboxrecords")["items"]
        if each["metadata"]["name"].startswith(name)
    )
    return record


def test_sandboxes_snapshots_and_records_live_through_an_upgrade_and_a_rollback(
    cluster: Cluster,
    versions: Registry,
    released: Callable[[str], None],
    http: httpx.Client,
    client: isola.Isola,
    create: Any,
) -> None:
    released(OLDER)
    assert versions_running(cluster) == {OLDER}
    assert cluster.get("networkpolicy", POLICY, SYSTEM) is None
    older_columns = columns(cluster)

    name, archive = create(startupTimeoutSeconds=PATIENT)["id"], fresh("upgrade")
    running(http, name)
    sandbox = client.sandboxes.get(name)
    sandbox.filesystem.write("/kept", "of the older version")
    snapshot(http, name, archive)
    record = recorded(cluster, http, create)
    before = cluster.get("sandbox", name)
    counting = sandbox.commands.spawn("sh", "-c", COUNTING, timeout_seconds=900)
    caller = Caller(sandbox)
    caller.start()

    def unharmed() -> None:
        found = cluster.get("sandbox", name)
        assert found["metadata"]["uid"] == before["metadata"]["uid"]
        log, earlier = found["status"]["conditions"][::-1], before["status"]["conditions"][::-1]
        assert log[: len(earlier)] == earlier
        assert faults(found["metadata"]["uid"], log) == ()
        assert found["spec"] == before["spec"]
        assert cluster.get("sandboxrecord", record["metadata"]["name"])["spec"] == record["spec"]
        assert counting.exit_code() is None
        asked = caller.answered
        until(lambda: caller.answered > asked, seconds=30, what="commands run")
        assert caller.failed == []

    try:
        released(yaml.safe_load((CHART / "Chart.yaml").read_text())["version"])
        assert OLDER not in versions_running(cluster)
        assert columns(cluster) == older_columns + 1
        assert cluster.get("networkpolicy", POLICY, SYSTEM) is not None
        unharmed()

        rollback = ("rollback", *RELEASE, *WAITING)
        versions.helm(*rollback, environment=cluster.environment)
        assert versions_running(cluster) == {OLDER}
        assert columns(cluster) == older_columns
        assert cluster.get("networkpolicy", POLICY, SYSTEM) is None
        unharmed()
    finally:
        caller.enough.set()
        caller.join()

    sandbox.filesystem.write("/tmp/enough", "")
    assert counting.wait() == 0
    numbers = counting.stdout.read().split()
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    restored = create(restoring(archive, command=["sleep", "600"]), startupTimeoutSeconds=PATIENT)[
        "id"
    ]
    running(http, restored)
    assert client.sandboxes.get(restored).filesystem.read("/kept") == b"of the older version"
