"""Answers at each `ADDRESS:PORT` or `[ADDRESS]:PORT`, by TCP and UDP, and tells of all that comes.

A question of DNS is answered, with "there is no such name": so that a resolver hears somebody.
"""

import socket
import sys
import threading


def answer_udp(listener: socket.socket) -> None:
    while True:
        asked, peer = listener.recvfrom(65536)
        tell(f"udp {peer} {asked!r}")
        listener.sendto(asked[:2] + bytes([asked[2] | 0x80, 0x83]) + asked[4:], peer)


def answer_tcp(listener: socket.socket) -> None:
    while True:
        connection, peer = listener.accept()
        threading.Thread(target=hear, args=(connection, peer), daemon=True).start()


def hear(connection: socket.socket, peer: object) -> None:
    with connection:
        connection.settimeout(5)
        try:
            heard = connection.recv(4096)
            tell(f"tcp {peer} {heard!r}")
            connection.sendall(heard)
        except OSError as error:
            tell(f"tcp {peer} {error}")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


for where in sys.argv[1:]:
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind, answer in ((socket.SOCK_STREAM, answer_tcp), (socket.SOCK_DGRAM, answer_udp)):
        listening = socket.socket(family, kind)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(port)))
        if kind == socket.SOCK_STREAM:
            listening.listen(128)
        threading.Thread(target=answer, args=(listening,)).start()
tell("listening")
