"""Tells which of the targets on stdin it reaches, and what comes of looking up a name.

    [["tcp", "10.96.0.1", 443], ["udp", "10.96.0.10", 53], ["name", "example.com", 0]]

In the same order: what came of each. All at once, because what is dropped takes its time.
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SECONDS = 3.0
# A question of DNS that the cluster's name servers know an answer to; all others just answer.
QUESTION = (
    b"\x07\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
)


def tcp(host: str, port: int) -> str:
    with socket.create_connection((host, port), SECONDS):
        return "reached"


def udp(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(SECONDS / 6)
        asking.connect((host, port))
        for _ in range(6):  # nobody repeats a datagram but who sent it
            asking.send(QUESTION)
            try:
                return "reached" if asking.recv(4096) else "nothing"
            except TimeoutError:
                continue
    return "timed out"


def name(host: str, _: int) -> str:
    began = time.monotonic()
    try:
        socket.getaddrinfo(host, 80)
        came = "found"
    except socket.gaierror as error:
        came = "unknown" if error.errno == socket.EAI_NONAME else "no answer"
    return came if time.monotonic() - began < SECONDS else "hangs"


def attempt(target: tuple[str, str, int]) -> str:
    protocol, host, port = target
    try:
        return {"tcp": tcp, "udp": udp, "name": name}[protocol](host, port)
    except TimeoutError:
        return "timed out"
    except OSError as error:
        return str(error.strerror).lower()


targets = json.load(sys.stdin)
with ThreadPoolExecutor(len(targets)) as together:
    sys.stdout.write(json.dumps(list(together.map(attempt, targets))))
