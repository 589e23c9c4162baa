"""A sandbox's life: until its first command's exit, each further command, and its log."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

import httpx
import isola

from benchmarks.figures import compare, in_turn, milliseconds, row, timed
from isola_lifecycle.codec import decode_log, encode
from isola_lifecycle.sandbox.fold import fold
from isola_operator.credentials import fresh
from isola_store.client import KubernetesClient
from isola_store.kubernetes import sandboxes_path
from support.cluster import SANDBOXES, Cluster
from support.stories import NOT_READY, READY, RUNNING, log_of

ROUNDS = 10
PODS = f"/api/v1/namespaces/{SANDBOXES}/pods"

# In the sidecar's own image under gVisor: from starting its process to its first accepted
# connection, and to its first answer, over TLS as in a pod. Arguments: certificate and key.
SIDECAR_START = """
import os, socket, ssl, subprocess, sys, time
certificate, key = sys.argv[1:]
environment = {**os.environ, "ISOLA_SIDECAR_CERTIFICATE": certificate}
tls = ssl._create_unverified_context()
for port in range(20001, 20012):
    home = f"/tmp/{key}"
    os.makedirs(home)
    began = time.perf_counter()
    command = [sys.executable, "-m", "isola_sidecar", str(port), "serve-own"]
    process = subprocess.Popen(command, cwd=home, env=environment)
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            time.sleep(0.001)
    listening = time.perf_counter() - began
    connection = tls.wrap_socket(connection)
    connection.sendall(b"GET /health HTTP/1.1\\r\\nHost: s\\r\\n\\r\\n")
    connection.recv(100)
    print(listening, time.perf_counter() - began, flush=True)
    process.kill()
    process.wait()
"""


def measure(cluster: Cluster) -> None:
    """Print the figures."""
    create, pod = asyncio.run(_creation(cluster))
    compare(
        "cold create → first command's exit",
        create,
        "bare gVisor pod of the same image → Ready",
        pod,
        target="<= 1.3",
    )
    ours, kubectl = _round_trips(cluster)
    compare('run("true")', ours, "kubectl exec … true", kubectl, target="<= 0.5")
    listening, answering = _sidecar_start(cluster)
    row("sidecar under gVisor: process start → listening", milliseconds(listening), "<= 200 ms")
    row("sidecar under gVisor: process start → first answer", milliseconds(answering))
    writes, entries, size = asyncio.run(_log_of_a_life(cluster))
    row("status writes per life (create, run, delete)", str(writes), "<= 5")
    row("log entries per life", str(entries))
    row("log bytes per life", f"{size} B", "<= 4096 B")
    row("fold of a 64-entry log", f"{_fold_microseconds():.0f} µs", "<= 100 µs")


async def _creation(cluster: Cluster) -> tuple[list[float], list[float]]:
    """Return seconds from create to a command's exit, and from a bare pod's create to Ready."""
    ours: list[float] = []
    bare: list[float] = []
    async with (
        await KubernetesClient.connect(cluster.environment["KUBECONFIG"]) as kubernetes,
        httpx.AsyncClient(base_url=f"{cluster.url}/v1", timeout=60) as http,
    ):
        for number in range(ROUNDS):
            ours.append(await _first_command(http, cluster.image))
            bare.append(await _bare_pod(kubernetes, f"bench-{number}", cluster.image))
    return ours, bare


async def _first_command(http: httpx.AsyncClient, image: str) -> float:
    began = time.perf_counter()
    body = {"podTemplate": {"containers": [{"image": image}]}, "timeoutSeconds": 300}
    path = f"/sandboxes/{(await http.post('/sandboxes', json=body)).json()['id']}"
    while (await http.get(path)).json()["status"] != "Running":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    command = (await http.post(f"{path}/commands", json={"args": ["true"]})).json()["id"]
    status = await http.get(f"{path}/commands/{command}/status", params={"waitSeconds": 20})
    seconds = time.perf_counter() - began
    if status.json()["exitCode"] != 0:
        raise RuntimeError(status.text)
    await http.delete(path)
    await _gone(http, path)
    return seconds


async def _gone(http: httpx.AsyncClient, path: str) -> None:
    while (await http.get(path)).is_success:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def _bare_pod(kubernetes: KubernetesClient, name: str, image: str) -> float:
    manifest = _pod(name, image, ["sleep", "infinity"])
    began = time.perf_counter()
    await kubernetes.request("POST", PODS, manifest)
    while not _is_ready(await kubernetes.request("GET", f"{PODS}/{name}")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
    await kubernetes.request("DELETE", f"{PODS}/{name}", options)
    await asyncio.sleep(1)  # the node's own cleaning up, which is neither's to pay for
    return seconds


def _pod(name: str, image: str, command: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "runtimeClassName": "gvisor",
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": image, "command": command}],
        },
    }


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _round_trips(cluster: Cluster) -> tuple[list[float], list[float]]:
    """Return seconds of `run("true")` by the published client, and of kubectl exec."""
    with (
        isola.Isola(url=cluster.url) as client,
        client.sandboxes.create(image=cluster.image, timeout_seconds=300) as sandbox,
    ):
        pod = ("exec", "-n", SANDBOXES, f"{sandbox.id}-pod", "-c", "sandbox0", "--", "true")
        return in_turn(ROUNDS, lambda: sandbox.commands.run("true"), lambda: cluster.kubectl(*pod))


def _sidecar_start(cluster: Cluster) -> tuple[list[float], list[float]]:
    image = cluster.images["isola-sandbox-sidecar"]
    pod = _pod("bench-sidecar", image, ["python3", "-c", SIDECAR_START, *fresh()])
    pod["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    cluster.kubectl("apply", "-n", SANDBOXES, "-f", "-", stdin=json.dumps(pod))
    try:
        done = "--for=jsonpath={.status.phase}=Succeeded"
        cluster.kubectl("wait", done, "pod/bench-sidecar", "-n", SANDBOXES, "--timeout=60s")
        lines = cluster.kubectl("logs", "bench-sidecar", "-n", SANDBOXES).stdout.splitlines()
    finally:
        cluster.kubectl("delete", "pod", "bench-sidecar", "-n", SANDBOXES, "--wait=false")
    times = [tuple(map(float, line.split())) for line in lines if line[:1].isdecimal()]
    return [t[0] for t in times], [t[1] for t in times]


async def _log_of_a_life(cluster: Cluster) -> tuple[int, int, int]:
    """Return status writes, entries and bytes of one life, as a watcher of the object sees it."""
    async with await KubernetesClient.connect(cluster.environment["KUBECONFIG"]) as kubernetes:
        path = sandboxes_path(SANDBOXES)
        version = (await kubernetes.request("GET", path))["metadata"]["resourceVersion"]
        life = asyncio.create_task(asyncio.to_thread(_live, cluster))
        versions: set[int] = set()
        log = decode_log("", {})
        query = {"resourceVersion": version}
        async for event in kubernetes.watch(path, query, timeout_seconds=60):
            item = event["object"]
            found = decode_log(item["metadata"]["uid"], item.get("status", {}))
            if found.version not in versions and found.version:
                versions.add(found.version)
                log = found
            if event["type"] == "DELETED":
                break
        await life
    size = sum(len(json.dumps(encode(entry), separators=(",", ":"))) for entry in log)
    return len(versions), len(log), size


def _live(cluster: Cluster) -> None:
    with (
        isola.Isola(url=cluster.url) as client,
        client.sandboxes.create(image=cluster.image, timeout_seconds=300) as sandbox,
    ):
        sandbox.commands.run("true")


def _fold_microseconds() -> float:
    log = log_of([*RUNNING, *([NOT_READY, READY] * 32)][:64])
    return statistics.median(timed(lambda: fold(log)) for _ in range(2000)) * 1e6
