"""Takes in what is sent to `ADDRESS:PORT`, and tells at which rate it came.

    python3 -c … ADDRESS:PORT CONNECTIONS

The first line of a connection is its name, and how many bytes come before those that count: what a
token bucket lets go at once. On standard output, as JSON: bytes a second, by name.
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def rate_of(connection: socket.socket) -> tuple[str, float]:
    with connection, connection.makefile("rb") as stream:
        name, skipped = stream.readline().decode().split()
        stream.read(int(skipped))
        began = last = time.monotonic()
        size = 0
        while part := stream.read1():
            size, last = size + len(part), time.monotonic()
    return name, size / (last - began)


host, port = sys.argv[1].split(":")
with socket.create_server((host, int(port))) as listening, ThreadPoolExecutor() as together:
    sys.stderr.write("listening\n")
    sys.stderr.flush()
    rates = [together.submit(rate_of, listening.accept()[0]) for _ in range(int(sys.argv[2]))]
    sys.stdout.write(json.dumps(dict(rate.result() for rate in rates)))
