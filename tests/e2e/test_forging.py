"""Root in a sandbox against the gateway: it may end its sidecar, but not pass for it."""

from __future__ import annotations

import hashlib
import ssl
import textwrap
from collections.abc import Callable
from typing import Any

import httpx
import isola

from support.cluster import SANDBOXES, Cluster, until

Create = Callable[..., dict[str, Any]]
READY = {"Prefer": "wait=25"}
FORGED = "forged-by-root"

# Of the container itself, and so no command of the sidecar's, which would end with it. Once it is
# told to, it kills the sidecar and its launcher, takes the port, and answers whoever comes.
FORGER = textwrap.dedent("""
    import json, os, pathlib, signal, socket, threading, time

    def answer(line):
        with line:
            received = line.recv(65536)
            print("asked", received[:1].hex() or "-", b"HTTP" in received, flush=True)
            known = {"id": "0b1d5b1c-3d62-4d4e-9a37-9d3fbb9c2b6a", "exitCode": 0}
            body = json.dumps({**known, "detail": "forged-by-root"}).encode()
            head = "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
            line.sendall(f"{head}Content-Length: {len(body)}\\r\\n\\r\\n".encode() + body)

    while not os.path.exists("/tmp/go"):
        time.sleep(0.01)
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if b"isola_sidecar" in (process / "cmdline").read_bytes().split(b"\\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            pass
    while True:
        try:
            server = socket.create_server(("0.0.0.0", 10032), backlog=100)
            break
        except OSError:
            time.sleep(0.001)
    print("bound", flush=True)
    while True:
        threading.Thread(target=answer, args=server.accept()[:1]).start()
""")


def sidecar_of(cluster: Cluster, name: str) -> dict[str, Any]:
    containers = cluster.get("pod", f"{name}-pod")["spec"]["initContainers"]
    return next(each for each in containers if each["name"] == "sandbox-sidecar")


def test_the_log_tells_the_certificate_and_no_command_comes_by_its_key(
    sandbox: isola.Sandbox, cluster: Cluster
) -> None:
    sidecar = sidecar_of(cluster, sandbox.id)
    (variable,) = (each for each in sidecar["env"] if each["name"] == "ISOLA_SIDECAR_CERTIFICATE")
    told = next(e for e in cluster.log(sandbox.id) if e["type"] == "PodCreated")["data"]
    der = ssl.PEM_cert_to_DER_cert(variable["value"])
    assert told["sidecarCertificate"] == hashlib.sha256(der).hexdigest()

    key = sidecar["workingDir"].strip("/")
    shown = sandbox.commands.run(
        *("sh", "-c"),
        "id -u; ls -l /proc/*/cwd /proc/*/root /proc/*/fd; cat /proc/*/environ /proc/*/cmdline;"
        " cat /proc/gvisor/spec_environ; env",
    )
    assert shown.stdout.startswith("0\n")
    assert "isola_sidecar" in shown.stdout
    assert key not in shown.stdout


def test_a_sidecar_that_was_killed_comes_back_and_is_known_again(
    sandbox: isola.Sandbox, http: httpx.Client
) -> None:
    sandbox.commands.spawn("sh", "-c", "sleep 0.5; pkill -9 -f isola_side[c]ar")
    commands = f"/sandboxes/{sandbox.id}/commands"

    def forgotten() -> bool:
        seen = http.get(f"/sandboxes/{sandbox.id}").json()
        assert seen["status"] in {"Pending", "Running"}, seen
        # A new one knows nothing of the command that killed the one before.
        listed = http.get(commands)
        return listed.is_success and not listed.json()["commands"]

    until(forgotten, seconds=60, what="the sidecar is started anew")
    assert sandbox.commands.run("echo", "back").stdout == "back\n"


def test_whoever_takes_the_sidecar_s_port_is_not_believed(
    cluster: Cluster, http: httpx.Client, create: Create
) -> None:
    name = create(command=["python3", "-c", FORGER], headers=READY)["id"]
    commands = f"/sandboxes/{name}/commands"
    assert http.post(commands, json={"args": ["touch", "/tmp/go"]}).status_code == 202

    def gone() -> bool:
        return any(entry["reason"] == "ReadinessLost" for entry in cluster.log(name))

    def printed() -> list[str]:
        pod = f"{name}-pod"
        return cluster.kubectl("logs", "-n", SANDBOXES, pod, "-c", "sandbox0").stdout.splitlines()

    until(lambda: "bound" in printed(), seconds=30, what="the port is taken")
    statuses: set[int] = set()

    def refused() -> bool:
        for answer in (
            http.post(commands, json={"args": ["cat", "/etc/shadow"]}),
            http.get(commands),
            http.get(f"/sandboxes/{name}/filesystem", params={"path": "/etc/hostname"}),
        ):
            statuses.add(answer.status_code)
            assert FORGED not in answer.text
        return gone()

    until(refused, seconds=90, what="the log says that the sidecar does not run")
    # 502 while the log has it as ready, 409 after that; never what the forger says.
    assert statuses <= {502, 409}
    asked = [line.split() for line in printed() if line.startswith("asked")]
    assert asked, "nobody was there to be deceived"
    # A TLS hello at most, and nothing of a request.
    assert {(first, readable) for _, first, readable in asked} <= {("16", "False"), ("-", "False")}
