"""A world outside of the cluster, with public addresses: web servers and a name server of the test.

Its addresses are on the loopback of one node, and the other has a route there. No sandbox gets
there but through what lets it: they are in no range of the cluster's, nor in a private one.
"""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from egress.scene import make_certificate
from support.cluster import Cluster

SERVER, NAMESERVER = "11.0.0.10", "11.0.0.53"
NAMESPACE = "isola-world"

# Of the names that have an address; `rebind.test` has another one each time it is asked for.
NAMES = {
    "allowed.test": [SERVER],
    "www.wild.test": [SERVER],
    "a.b.wild.test": [SERVER],
    "wild.test": [SERVER],
    "forbidden.test": [SERVER],
    "other-port.test": [SERVER],
    "metadata.test": ["169.254.169.254"],
    "loopback.test": ["127.0.0.1"],
}

PROGRAM = textwrap.dedent("""
    import http.server, itertools, json, socket, ssl, struct, threading

    names = json.load(open("/world/names.json"))
    server, nameserver, api = names.pop("."), names.pop(".."), names.pop("...")
    turns = itertools.cycle([server, api])

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            text = f"world {self.headers['Host']}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def serve(port, tls):
        made = http.server.ThreadingHTTPServer((server, port), Answer)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain("/world/certificate.pem")
            options = {"server_side": True, "do_handshake_on_connect": False}
            made.socket = context.wrap_socket(made.socket, **options)
        threading.Thread(target=made.serve_forever).start()

    def answered(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        question, kind = query[12 : at + 5], query[at + 2]
        name = ".".join(labels)
        found = [next(turns)] if name == "rebind.test" else names.get(name)
        code = 0 if found else 3
        found = found if found and kind == 1 else []
        head = query[:2] + struct.pack(">BBHHHH", 0x81, 0x80 | code, 1, len(found), 0, 0)
        record = b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 0, 4)
        records = b"".join(record + socket.inet_aton(each) for each in found)
        return head + question + records

    for port, tls in ((80, False), (443, True), (8443, True)):
        serve(port, tls)
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind((nameserver, 53))
    print("serving", flush=True)
    while True:
        query, peer = dns.recvfrom(4096)
        dns.sendto(answered(query), peer)
""")


@contextmanager
def world(cluster: Cluster, folder: Path) -> Generator[Path]:
    """Have the world, ask its name server in the egress component, and yield its certificate."""
    certificate = make_certificate(folder, *NAMES)
    home, *others = sorted(node["metadata"]["name"] for node in cluster.get("nodes")["items"])
    _route(cluster, home, others, "add")
    _run(cluster, certificate, home)
    try:
        _resolve_by(cluster, NAMESERVER)
        yield certificate
    finally:
        _resolve_by(cluster, "")
        cluster.kubectl("delete", "namespace", NAMESPACE)
        _route(cluster, home, others, "del")


def _route(cluster: Cluster, home: str, others: list[str], verb: str) -> None:
    nodes = {node["metadata"]["name"]: node for node in cluster.get("nodes")["items"]}
    addresses = nodes[home]["status"]["addresses"]
    (address,) = [each["address"] for each in addresses if each["type"] == "InternalIP"][:1]
    for each in (SERVER, NAMESERVER):
        _in_node(home, "ip", "address", verb, f"{each}/32", "dev", "lo")
        for other in others:
            _in_node(other, "ip", "route", verb, f"{each}/32", "via", address)


def _in_node(node: str, *command: str) -> None:
    subprocess.run(["docker", "exec", node, *command], capture_output=True, check=False)


def _run(cluster: Cluster, certificate: Path, node: str) -> None:
    told = {**NAMES, ".": SERVER, "..": NAMESERVER, "...": "10.96.0.1"}
    files = {
        "names.json": json.dumps(told),
        "world.py": PROGRAM,
        "certificate.pem": certificate.read_text(),
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "world", "namespace": NAMESPACE},
        "spec": {
            "hostNetwork": True,
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "world",
                    "image": cluster.image,
                    "command": ["python3", "/world/world.py"],
                    "volumeMounts": [{"name": "world", "mountPath": "/world"}],
                }
            ],
            "volumes": [{"name": "world", "configMap": {"name": "world"}}],
        },
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "world", "namespace": NAMESPACE},
        "data": files,
    }
    cluster.kubectl("create", "namespace", NAMESPACE, check=False)
    listed = {"apiVersion": "v1", "kind": "List", "items": [config, pod]}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(listed))
    wait = ("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/world", "--timeout=60s")
    cluster.kubectl(*wait)


def _resolve_by(cluster: Cluster, nameserver: str) -> None:
    _let_ask(cluster, nameserver)
    told = f"ISOLA_EGRESS_NAMESERVERS={nameserver}"
    cluster.kubectl("set", "env", "-n", "isola-system", "deployment/isola-egress", told)
    status = ("rollout", "status", "-n", "isola-system", "deployment/isola-egress")
    cluster.kubectl(*status, "--timeout=90s")


def _let_ask(cluster: Cluster, nameserver: str) -> None:
    """Open the way there, as the chart does for a name server that it is told of."""
    to = [{"ipBlock": {"cidr": f"{nameserver}/32"}}]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "world", "namespace": "isola-system"},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "egress"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": to, "ports": [{"protocol": "UDP", "port": 53}]}],
        },
    }
    if nameserver:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(policy))
    else:
        policy_of = ("-n", "isola-system", "networkpolicy", "world")
        cluster.kubectl("delete", "--ignore-not-found", *policy_of)
