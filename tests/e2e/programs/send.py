"""Sends as fast as it can: python3 -c … ADDRESS:PORT NAME BYTES_THAT_DO_NOT_COUNT SECONDS."""

import socket
import sys
import time

where, name, skipped, seconds = sys.argv[1:]
host, port = where.split(":")
with socket.create_connection((host, int(port)), 30) as connection:
    connection.sendall(f"{name} {skipped}\n".encode())
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        connection.sendall(bytes(16384))
