"""A real API server for the tests: etcd and kube-apiserver as processes, no nodes, no Docker."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context

from support.toolchain import ROOT, binaries

# What the cluster runs, and the first Kubernetes that the chart supports.
NEWEST, OLDEST = "kube-apiserver", "kube-apiserver-oldest"

TOKEN = "tests-only"  # of a server that lives on loopback for one test session
NAMESPACE = "isola-sandboxes"
NODE_NAMESPACE = "isola-nodes"
# What service accounts ask for is written down, once it is answered; nothing of administrators.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class ApiServer:
    """A running API server.

    Attributes:
        url: Its address.
        kubeconfig: A file with an administrator's credentials for it.
        kubectl: Path of a kubectl of the same version.
        etcd: Address of its etcd, for tests that go behind its back.
        audit: Its audit log, of service accounts alone: an event a line, as JSON.
    """

    url: str
    kubeconfig: Path
    kubectl: Path
    etcd: str
    audit: Path

    def run_kubectl(
        self, *arguments: str, stdin: str = "", editor: str = "false"
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, with `editor` for `kubectl edit`, and return what came of it."""
        return subprocess.run(
            [self.kubectl, "--kubeconfig", self.kubeconfig, *arguments],
            env={**os.environ, "KUBE_EDITOR": editor},
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )


@contextmanager
def serving(folder: Path, program: str = NEWEST) -> Generator[ApiServer]:
    """Yield an API server that knows our resources, with its files in `folder`.

    Args:
        folder: Where its files go.
        program: Which it is: `NEWEST` is the cluster's, `OLDEST` the first that the chart supports.
    """
    tools = binaries("etcd", program, "kubectl")
    client_port, peer_port, port = (free_port() for _ in range(3))
    etcd = f"http://127.0.0.1:{client_port}"
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    audit, policy = folder / "audit.jsonl", folder / "audit-policy.json"
    policy.write_text(json.dumps(AUDIT_POLICY))
    (folder / "tokens.csv").write_text(f"{TOKEN},tests,tests,system:masters\n")
    with ExitStack() as stack:
        for name, flags in {
            "etcd": [
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
                "--unsafe-no-fsync",
            ],
            program: [
                f"--etcd-servers={etcd}",
                f"--secure-port={port}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={folder / 'certs'}",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--allow-privileged=true",  # as kubeadm and everybody
                "--service-cluster-ip-range=10.96.0.0/16",
                "--disable-admission-plugins=ServiceAccount",
                # As some clusters have it: setting an owner that blocks deletion takes a right.
                "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
                f"--audit-policy-file={policy}",
                f"--audit-log-path={audit}",
            ],
        }.items():
            stack.enter_context(_process(tools / name, flags, folder / f"{name}.log"))
        url = f"https://127.0.0.1:{port}"
        certificate = folder / "certs" / "apiserver.crt"
        _wait_ready(url, certificate, folder / f"{program}.log")
        kubeconfig = _kubeconfig(folder / "kubeconfig", url, certificate)
        server = ApiServer(url, kubeconfig, tools / "kubectl", etcd, audit)
        _install_resources(server)
        yield server


def _install_resources(server: ApiServer) -> None:
    for arguments in (
        ("apply", "-f", str(ROOT / "chart" / "files" / "crds")),
        ("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"),
        ("create", "namespace", NAMESPACE),
        ("create", "namespace", NODE_NAMESPACE),
    ):
        done = server.run_kubectl(*arguments)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")


@contextmanager
def _process(program: Path, flags: list[str], log: Path) -> Generator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen([program, *flags], stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(url: str, certificate: Path, log: Path) -> None:
    deadline = time.monotonic() + 180  # a machine that builds something meanwhile
    while time.monotonic() < deadline:
        try:
            context = create_default_context(cafile=str(certificate))
            request = urllib.request.Request(
                f"{url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with urllib.request.urlopen(request, context=context, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    raise RuntimeError(f"kube-apiserver is not ready:\n{log.read_text()[-3000:]}")


def _kubeconfig(path: Path, url: str, certificate: Path) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [
            {
                "name": "tests",
                "cluster": {"server": url, "certificate-authority": str(certificate)},
            }
        ],
        "users": [{"name": "tests", "user": {"token": TOKEN}}],
        "contexts": [
            {
                "name": "tests",
                "context": {"cluster": "tests", "user": "tests", "namespace": NAMESPACE},
            }
        ],
    }
    path.write_text(json.dumps(content))
    return path


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
