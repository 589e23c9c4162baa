"""A cluster whose nodes have no gVisor, installed from a bundle, with nothing pulled."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import isola
import pytest

from support.cluster import NODES as ON_NODES
from support.cluster import SYSTEM, Cluster, until
from support.toolchain import ROOT

CACHE = os.environ.get("ISOLA_CACHE") or Path.home() / ".cache" / "isola"
CLUSTER, PORT = "isola-bare", "18090"
NODES = ("isola-bare-control-plane", "isola-bare-worker")
ENVIRONMENT = {
    **os.environ,
    "CLUSTER_NAME": CLUSTER,
    "ISOLA_PORT": PORT,
    "NODE_GVISOR": "false",
}
DROP_IN = "/etc/containerd/conf.d/isola-gvisor.toml"
OWN = """
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.own]
  runtime_type = "io.containerd.runc.v2"
"""
# A containerd that does not start with the drop-in, however well it reads it.
STUBBORN = f"[Service]\nExecStartPre=/bin/sh -c '! test -e {DROP_IN}'\n"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def script(name: str, *arguments: str | Path) -> str:
    return run(ROOT / "hack" / name, *arguments)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(
        script("bundle.sh", "--no-sbom", tmp_path_factory.mktemp("bundle") / "isola.tar").strip()
    )


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A cluster without gVisor and without anything of ours."""
    script("cluster.sh", "down")
    script("cluster.sh", "up")
    (image,) = script("images.sh", "sandbox-python").split()
    script("cluster.sh", "load", image.partition("=")[2])
    yield Cluster(
        url=f"http://localhost:{PORT}",
        environment={
            **ENVIRONMENT,
            "PATH": f"{CACHE}/bin:{os.environ['PATH']}",
            "KUBECONFIG": f"{CACHE}/kubeconfig-{CLUSTER}",
        },
        images=dict([image.split("=", 1)]),
    )
    script("cluster.sh", "down")


def install(bare: Cluster, bundle: Path) -> None:
    bare.kubectl("create", "namespace", SYSTEM, check=False)
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    bare.kubectl("label", "--overwrite", "namespace", SYSTEM, restricted)
    done = subprocess.run(
        [
            *(ROOT / "hack" / "install-bundle.sh", bundle, "--kind", CLUSTER),
            *("--namespace", SYSTEM, "--set", "gvisor.installer.enabled=true"),
            *("--set", "sandboxNamespace.create=true"),
            *("--set", "apiGateway.service.type=NodePort,apiGateway.service.nodePort=30080"),
        ],
        env=bare.environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def labels(bare: Cluster, node: str) -> dict[str, str]:
    found = bare.get("node", node)["metadata"]["labels"]
    return {key: value for key, value in found.items() if key.startswith("isola.run/")}


def why_not_ready(bare: Cluster, node: str) -> str:
    logs = bare.kubectl(
        *("logs", "-n", ON_NODES, "--tail=-1", "--prefix"),
        *("-l", "app.kubernetes.io/component=gvisor-installer"),
    ).stdout
    pods = bare.get(
        "pods", namespace=ON_NODES, selector="app.kubernetes.io/component=gvisor-installer"
    )["items"]
    names = [pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node]
    return "\n".join(line for line in logs.splitlines() if any(name in line for name in names))


def test_a_node_that_refuses_is_as_it_was_and_the_others_get_gvisor(
    bare: Cluster, bundle: Path
) -> None:
    """The way back, where containerd does not start again; and the way forward beside it."""
    stubborn, willing = NODES
    unit = "/etc/systemd/system/containerd.service.d"
    bare.on_node(stubborn, f"mkdir -p {unit} && printf %b {json.dumps(STUBBORN)} >{unit}/no.conf")
    bare.on_node(stubborn, "systemctl daemon-reload")
    before = bare.on_node(stubborn, "cat /etc/containerd/config.toml")
    install(bare, bundle)
    until(lambda: labels(bare, willing), seconds=60, what="gVisor on the willing node")
    assert labels(bare, willing) == {
        "isola.run/gvisor": "ready",
        "isola.run/gvisor-from": "installer",
    }
    until(
        lambda: "containerd is configured as it was, and runs" in why_not_ready(bare, stubborn),
        seconds=120,
        what="the way back",
    )
    assert bare.on_node(stubborn, "cat /etc/containerd/config.toml") == before
    assert bare.on_node(stubborn, f"ls {DROP_IN} 2>/dev/null || true") == ""
    assert bare.on_node(stubborn, "systemctl is-active containerd").strip() == "active"
    assert labels(bare, stubborn) == {}

    bare.wait_for_isola()
    with (
        isola.Isola(url=bare.url) as client,
        client.sandboxes.create(image=bare.image, timeout_seconds=600) as sandbox,
    ):
        assert "gVisor" in sandbox.commands.run("dmesg").stdout
        assert bare.get("pod", f"{sandbox.id}-pod")["spec"]["nodeName"] == willing

    # The same is not tried again, until a person has mended the node and says so.
    assert "refused" in bare.on_node(stubborn, "ls /var/lib/isola-gvisor")
    bare.on_node(stubborn, f"rm -r {unit} /var/lib/isola-gvisor/refused && systemctl daemon-reload")
    bare.kubectl(
        *("rollout", "restart", "-n", ON_NODES, "daemonset/isola-gvisor-installer"),
    )
    until(lambda: labels(bare, stubborn), seconds=90, what="gVisor on the mended node")

    left_alone(bare, *NODES)


def left_alone(bare: Cluster, own: str, other: str) -> None:
    """Another handler, which one node has by other hands and the other has not."""
    bare.on_node(own, f"printf %b {json.dumps(OWN)} >/etc/containerd/conf.d/own.toml")
    bare.on_node(own, "systemctl restart containerd")
    before = bare.on_node(own, f"cat {DROP_IN}")
    bare.kubectl(
        *("set", "env", "-n", ON_NODES, "daemonset/isola-gvisor-installer"),
        "ISOLA_GVISOR_HANDLER=own",
    )
    until(
        lambda: labels(bare, own).get("isola.run/gvisor-from") == "node",
        seconds=120,
        what="a label for the node's own",
    )
    until(
        lambda: 'runtimes."own"' in bare.on_node(other, f"cat {DROP_IN}"),
        seconds=120,
        what="the new handler on the other node",
    )
    assert bare.on_node(own, f"cat {DROP_IN}") == before


def test_a_bundle_that_was_cut_off_is_not_installed(bundle: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    with tarfile.open(bundle) as whole, tarfile.open(cut, "w") as archive:
        for member in whole:
            if member.name != "images.tar":
                archive.addfile(member, whole.extractfile(member))
    done = subprocess.run(
        [ROOT / "hack" / "install-bundle.sh", cut, "--kind", "nothing-there"],
        env={**ENVIRONMENT, "PATH": f"{CACHE}/bin:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is not what was made" in done.stderr
