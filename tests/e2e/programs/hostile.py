"""Tries to get out of a sandbox and at its neighbours, in every way that a program has.

On standard input what an attacker would know; on standard output a JSON list for each attempt: the
way, where to, and what came of it: `REACHED` where somebody answered, `sent` where nobody would,
else the reason why not. What is sent bears a mark and the way, for whoever watches the wires.
"""

import array
import fcntl
import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Attempt = tuple[str, str, Callable[[], str]]

GIVEN = json.load(sys.stdin)
PORT: int = GIVEN["port"]
OUTSIDE: str = GIVEN["outside"]
OWN: str = socket.gethostbyname(socket.gethostname())
OWN_6: list[str] = GIVEN["own six"]
# Where pods have IPv4 alone, what needs one of them is tried all the same.
SOME_OWN_6 = OWN_6[0] if OWN_6 else "fe80::7"
LINK_LOCAL: str = GIVEN["link local"]  # the node, at the other end of its link; or empty
LINK = OWN.rpartition(".")[0] + ".1"  # the node, at the other end of its link
SECONDS = 1.0

IP_FREEBIND, IP_TRANSPARENT, SO_MARK, IPPROTO_UDPLITE, SOCK_DCCP = 15, 19, 36, 136, 6
SIOCSIFADDR, SIOCADDRT, SIOCGIFHWADDR = 0x8916, 0x890B, 0x8927


def payload(way: str) -> bytes:
    return f"{GIVEN['mark']}:{way}:".encode()


# Each attempt: a function that returns what came of it, or raises what the kernel said.


def tcp(host: str, port: int, prepare: Callable[[socket.socket], object] = id) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as each:
        each.settimeout(SECONDS)
        prepare(each)
        each.connect((host, port))
        return "REACHED"


def udp(
    way: str,
    host: str,
    port: int,
    prepare: Callable[[socket.socket], object] = id,
    size: int = 0,
) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as each:
        each.settimeout(SECONDS)
        prepare(each)
        each.sendto(payload(way).ljust(size, b"."), (host, port))
        try:
            return "REACHED" if each.recvfrom(65536) else ""
        except TimeoutError:
            return "sent"


def query(way: str) -> bytes:
    label = payload(way).replace(b":", b"-").replace(b" ", b"-")[:63]
    question = bytes([len(label)]) + label + b"\x04test\x00\x00\x01\x00\x01"
    return struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0) + question


def dns(way: str, host: str, *, stream: bool) -> str:
    asked = query(way)
    kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as each:
        each.settimeout(SECONDS)
        each.connect((host, 53))
        each.sendall(struct.pack(">H", len(asked)) + asked if stream else asked)
        return "REACHED" if each.recv(512) else "closed"


def sweep(network: str, port: int) -> str:
    """Connect to all of a /24 at once; of an IPv6 network, to as many."""
    six = ":" in network
    prefix = network if six else network.rpartition(".")[0] + "."
    poll, reached, why = select.poll(), list[str](), set[str]()
    waiting: dict[int, tuple[socket.socket, str]] = {}
    for last in range(1, 255):
        host = f"{prefix}{last:x}" if six else f"{prefix}{last}"
        each = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        each.setblocking(False)  # noqa: FBT003 - the standard library's own
        each.connect_ex((host, port))
        waiting[each.fileno()] = (each, host)
        poll.register(each, select.POLLOUT)
    end = time.monotonic() + 2 * SECONDS
    while waiting and (left := end - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            each, host = waiting.pop(descriptor)
            code = each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                why.add(errno_name(code))
            elif host not in (OWN, *OWN_6):
                reached.append(host)
            each.close()
    for each, _ in waiting.values():
        each.close()
    if reached:
        return f"REACHED {' '.join(reached)}"
    return f"none of 254: {', '.join(sorted(why)) or 'no answer'}, {len(waiting)} without any"


def errno_name(code: int) -> str:
    return OSError(code, "").__class__.__name__ if code != 113 else "no route"


def bound_to(host: str, *options: int) -> Callable[[socket.socket], object]:
    """Take somebody else's address for one's own."""

    def prepare(each: socket.socket) -> None:
        for option in options:
            each.setsockopt(socket.SOL_IP, option, 1)
        each.bind((host, 0))

    return prepare


def from_port_53(each: socket.socket) -> None:
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    each.bind(("", 53))


def option(level: int, number: int, value: int | bytes) -> Callable[[socket.socket], object]:
    return lambda each: each.setsockopt(level, number, value)


def ipv4(protocol: int, source: str, to: str, content: bytes) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton(to)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(content), 7, 0, 64, protocol, 0) + addresses
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + content


def datagram(way: str, source: str, to: str) -> bytes:
    content = payload(way)
    return ipv4(17, source, to, struct.pack(">HHHH", 4000, PORT, 8 + len(content), 0) + content)


def checksummed_echo(way: str) -> bytes:
    content = payload(way) + b"." * (len(payload(way)) % 2)
    total = 0x0800 + sum(struct.unpack(f">{len(content) // 2}H", content))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, 0, 0) + content


def raw(protocol: int, to: str, content: bytes) -> str:
    """Send what a raw socket of this protocol sends; of `IPPROTO_RAW` it is the whole packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as each:
        each.sendto(content, (to, 0))
        return "sent"


def ping(to: str, way: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as each:
        each.settimeout(SECONDS)
        each.sendto(checksummed_echo(way), (to, 0))
        return "REACHED" if each.recv(4096) else ""


def packet_socket(protocol: int) -> socket.socket:
    each = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    each.bind(("eth0", protocol))
    each.settimeout(SECONDS)
    return each


def hardware(name: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
        return fcntl.ioctl(each, SIOCGIFHWADDR, struct.pack("256s", name.encode()))[18:24]


def who_has(address: str) -> bytes:
    """Ask by ARP for the hardware address of somebody on the link, and return it."""
    mine = hardware("eth0")
    request = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mine + socket.inet_aton(OWN)
    request += bytes(6) + socket.inet_aton(address)
    with packet_socket(0x0806) as each:
        each.send(b"\xff" * 6 + mine + b"\x08\x06" + request)
        while True:
            answer = each.recv(2048)
            if answer[20:22] == b"\x00\x02" and answer[28:32] == socket.inet_aton(address):
                return answer[22:28]


def frame(way: str, source: str, to: str) -> str:
    """Put a datagram on the link by hand, past all routing."""
    with packet_socket(0x0800) as each:
        gateway = who_has(LINK)
        each.send(gateway + hardware("eth0") + b"\x08\x00" + datagram(way, source, to))
        return "sent"


def claim(address: str) -> str:
    """Tell the link that somebody else's address is here, by ARP nobody asked for."""
    mine = hardware("eth0")
    told = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + mine + socket.inet_aton(address)
    with packet_socket(0x0806) as each:
        each.send(b"\xff" * 6 + mine + b"\x08\x06" + told + mine + socket.inet_aton(address))
        return "sent"


def other_kind(family: int, kind: int, protocol: int, address: Any) -> str:
    with socket.socket(family, kind, protocol) as each:
        each.settimeout(SECONDS)
        each.connect(address)
        return "REACHED"


def ioctl(number: int, content: bytes) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
        fcntl.ioctl(each, number, array.array("B", content))
        return "REACHED: changed"


def take_address(address: str) -> str:
    return ioctl(
        SIOCSIFADDR,
        struct.pack("16sHH4s8x", b"eth0", socket.AF_INET, 0, socket.inet_aton(address)),
    )


def netlink_address(address: str) -> str:
    """Ask the kernel for one more address (RTM_NEWADDR)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    body = struct.pack("BBBBI", family, 8 * len(packed), 0, 0, socket.if_nametoindex("eth0"))
    body += struct.pack("HH", 4 + len(packed), 2) + packed
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as each:
        each.settimeout(SECONDS)
        each.sendto(struct.pack("IHHII", 16 + len(body), 20, 0x605, 1, 0) + body, (0, 0))
        code = struct.unpack_from("i", each.recv(4096), 16)[0]
        if code:
            raise OSError(-code, f"error {-code}")
        return "REACHED: changed"


def sidecar(host: str, prepare: Callable[[socket.socket], object] = id) -> str:
    """Ask the sidecar for the commands of this sandbox, which is the gateway's to do."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as each:
        each.settimeout(SECONDS)
        prepare(each)
        each.connect((host, GIVEN["sidecar"]))
        each.sendall(b"GET /v1/commands HTTP/1.1\r\nHost: s\r\n\r\n")
        status = each.recv(4096).split()[1].decode()
        return "refused by 403" if status == "403" else f"REACHED: {status}"


def ways() -> Iterator[Attempt]:
    yield from connections()
    yield from lookups()
    yield from shapes()
    yield from raw_sockets()
    yield from disguises()
    # A kernel gives link-local addresses also where pods have IPv4 alone.
    foreign = GIVEN["foreign six"]
    if OWN_6 and foreign:
        yield from by_six(foreign)
    yield from on_the_link(SOME_OWN_6, foreign or "fe80::8")
    yield from other_protocols()
    yield from own_sidecar()


def connections() -> Iterator[Attempt]:
    for host, port in GIVEN["known"]:
        yield "tcp", f"{host}:{port}", lambda h=host, p=port: tcp(h, p)
        yield "udp", f"{host}:{port}", lambda h=host, p=port: udp("udp", h, p)
    for network, port in GIVEN["networks"]:
        where = f"{network}{'' if ':' in network else '/24'} port {port}"
        yield "scan", where, lambda n=network, p=port: sweep(n, p)
    for host in GIVEN["six"]:
        yield "ipv6", host, lambda h=host: tcp(h, PORT)
        yield "ipv6 udp", host, lambda h=host: udp("ipv6 udp", h, PORT)


def lookups() -> Iterator[Attempt]:
    for host in GIVEN["nameservers"]:
        yield "dns over udp", host, lambda h=host: dns("dns over udp", h, stream=False)
        yield "dns over tcp", host, lambda h=host: dns("dns over tcp", h, stream=True)
        yield "dns over tls", host, lambda h=host: tcp(h, 853)
        yield "dns over https", host, lambda h=host: tcp(h, 443)


def shapes() -> Iterator[Attempt]:
    """Packets that a filter may take for something else."""
    route = bytes([131, 7, 4]) + socket.inet_aton(LINK) + b"\x00"
    for host in GIVEN["listening"]:
        for size in (4000, 60000):
            way = f"fragments of {size}"
            yield way, host, lambda h=host, w=way, s=size: udp(w, h, PORT, size=s)
        way = "source route"
        prepare = option(socket.SOL_IP, socket.IP_OPTIONS, route)
        yield way, host, lambda h=host, p=prepare, w=way: udp(w, h, PORT, p)
        way = "from port 53"
        yield way, host, lambda h=host, w=way: udp(w, h, PORT, from_port_53)
    for host in ("224.0.0.1", "255.255.255.255", OWN.rpartition(".")[0] + ".255"):
        way = "broadcast"
        prepare = option(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        yield way, host, lambda h=host, p=prepare, w=way: udp(w, h, PORT, p)


def raw_sockets() -> Iterator[Attempt]:
    for host in GIVEN["listening"]:
        for way, protocol, source in (
            ("raw ipip", 4, OWN),
            ("raw gre", 47, OWN),
            ("raw sctp", 132, OWN),
            ("raw esp", 50, OWN),
            ("raw udp", 17, OWN),
            ("raw, spoofed source", 17, GIVEN["foreign"]),
        ):
            content = {
                4: datagram(way, OWN, OUTSIDE),
                47: struct.pack(">HH", 0, 0x0800) + datagram(way, OWN, OUTSIDE),
                17: datagram(way, source, host)[20:],
            }.get(protocol, payload(way))
            whole = ipv4(protocol, source, host, content)
            yield way, host, lambda h=host, w=whole: raw(socket.IPPROTO_RAW, h, w)
            if source == OWN:
                yield way, host, lambda h=host, p=protocol, c=content: raw(p, h, c)
        way = "raw icmp"
        yield way, host, lambda h=host, w=way: raw(1, h, checksummed_echo(w))
        yield "ping", host, lambda h=host: ping(h, f"ping {h}")
        yield "frame", host, lambda h=host: frame("frame", OWN, h)
        way = "frame, spoofed source"
        yield way, host, lambda h=host, w=way: frame(w, GIVEN["foreign"], h)
    yield "arp", LINK, lambda: f"sent, answered by {who_has(LINK).hex(':')}"
    yield "arp claim", GIVEN["foreign"], lambda: claim(GIVEN["foreign"])


def disguises() -> Iterator[Attempt]:
    """Another's address, another device, another mark."""
    options = {"bind": (), "freebind": (IP_FREEBIND,), "transparent": (IP_TRANSPARENT,)}
    for host in GIVEN["listening"]:
        for word, numbers in options.items():
            way = f"{word} to another's address"
            prepare = bound_to(GIVEN["foreign"], *numbers)
            yield way, host, lambda h=host, w=way, p=prepare: udp(w, h, PORT, p)
            yield way, host, lambda h=host, p=prepare: tcp(h, PORT, p)
        for device in (b"eth0", b"lo"):
            way = f"bind to {device.decode()}"
            prepare = option(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            yield way, host, lambda h=host, p=prepare, w=way: udp(w, h, PORT, p)
            yield way, host, lambda h=host, p=prepare: tcp(h, PORT, p)
        # By which kube-router knows what its policies let through.
        prepare = option(socket.SOL_SOCKET, SO_MARK, 0x20000)
        yield "packet mark", host, lambda h=host, p=prepare: udp("packet mark", h, PORT, p)
    yield "take an address", GIVEN["foreign"], lambda: take_address(GIVEN["foreign"])
    yield "add an address", GIVEN["foreign"], lambda: netlink_address(GIVEN["foreign"])
    yield "add a route", OUTSIDE, lambda: ioctl(SIOCADDRT, bytes(120))


# By IPv6, where a pod has it.


def ipv6_packet(protocol: int, source: str, to: str, content: bytes, hops: int = 64) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
    return struct.pack(">IHBB", 6 << 28, len(content), protocol, hops) + addresses + content


def datagram_6(way: str, source: str, to: str) -> bytes:
    content = payload(way)
    head = struct.pack(">HHH", 4000, PORT, 8 + len(content))
    return head + sum_6(17, source, to, head + b"\0\0" + content) + content


def sum_6(protocol: int, source: str, to: str, content: bytes) -> bytes:
    """Return the checksum, which takes in the addresses."""
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
    whole = addresses + struct.pack(">II", len(content), protocol) + content
    total = sum(struct.unpack(f">{(len(whole) + 1) // 2}H", whole + b"\0" * (len(whole) % 2)))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF)


def raw_6(protocol: int, to: str, content: bytes) -> str:
    """Send what a raw socket of this protocol sends; of `IPPROTO_RAW` it is the whole packet."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol) as each:
        each.sendto(content, socket.getaddrinfo(to, 0, type=socket.SOCK_DGRAM)[0][4])
        return "sent"


def ping_6(to: str, way: str) -> str:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6) as each:
        each.settimeout(SECONDS)
        echo = struct.pack(">BBHHH", 128, 0, 0, 0, 0) + payload(way)
        each.sendto(echo, socket.getaddrinfo(to, 0, type=socket.SOCK_DGRAM)[0][4])
        return "REACHED" if each.recv(4096) else ""


def frame_6(way: str, source: str, to: str) -> str:
    with packet_socket(0x86DD) as each:
        gateway = who_has(LINK)
        packet = ipv6_packet(17, source, to, datagram_6(way, source, to))
        each.send(gateway + hardware("eth0") + b"\x86\xdd" + packet)
        return "sent"


def connect_from(source: str, to: str, port: int) -> str:
    """Connect from an address of one's own that is no other than the link's."""
    with socket.socket(socket.AF_INET6) as each:
        each.settimeout(SECONDS)
        each.bind((source, 0, 0, socket.if_nametoindex("eth0")))
        each.connect(socket.getaddrinfo(to, port, type=socket.SOCK_STREAM)[0][4])
        return "REACHED"


def option_6(number: int) -> Callable[[socket.socket], object]:
    """Put an extension header, six bytes of padding, before what is sent."""
    return lambda each: each.setsockopt(
        socket.IPPROTO_IPV6, number, bytes([0, 0, 1, 4, 0, 0, 0, 0])
    )


def by_six(foreign: str) -> Iterator[Attempt]:
    own, outside = SOME_OWN_6, GIVEN["outside six"]
    for host in GIVEN["listening six"]:
        for size in (4000, 60000):
            way = f"ipv6 fragments of {size}"
            yield way, host, lambda h=host, w=way, s=size: udp(w, h, PORT, size=s)
        for word, number in (("hop-by-hop", 54), ("destination", 59), ("routing", 57)):
            way = f"ipv6 {word} options"
            prepare = option_6(number)
            yield way, host, lambda h=host, w=way, p=prepare: udp(w, h, PORT, p)
        way = "ipv6 from port 53"
        yield way, host, lambda h=host, w=way: udp(w, h, PORT, from_port_53)
        for way, source in (("ipv6 raw udp", own), ("ipv6 raw, spoofed source", foreign)):
            whole = ipv6_packet(17, source, host, datagram_6(way, source, host))
            yield way, host, lambda h=host, w=whole: raw_6(socket.IPPROTO_RAW, h, w)
        way = "ipv6 raw ipip"
        inner = ipv6_packet(17, own, host, datagram_6(way, own, host))
        yield way, host, lambda h=host, i=inner: raw_6(41, h, i)
        yield "ipv6 ping", host, lambda h=host: ping_6(h, f"ipv6 ping {h}".replace(":", "."))
        for way, source in (("ipv6 frame", own), ("ipv6 frame, spoofed source", foreign)):
            yield way, host, lambda h=host, w=way, s=source: frame_6(w, s, h)
        for word, numbers in (("bind", ()), ("freebind", (78,)), ("transparent", (75,))):
            way = f"ipv6 {word} to another's address"
            prepare = bound_to_6(foreign, *numbers)
            yield way, host, lambda h=host, w=way, p=prepare: udp(w, h, PORT, p)
            yield way, host, lambda h=host, p=prepare: tcp(h, PORT, p)
    for host in GIVEN["listening"]:
        way = "ipv6 in ipv4"
        inner = ipv6_packet(17, own, outside, datagram_6(way, own, outside))
        yield way, host, lambda h=host, w=inner: raw(socket.IPPROTO_RAW, h, ipv4(41, OWN, h, w))
    yield "ipv6 add an address", foreign, lambda: netlink_address(foreign)
    yield "ipv6 add an address", "fe80::7", lambda: netlink_address("fe80::7")


def bound_to_6(host: str, *options: int) -> Callable[[socket.socket], object]:
    def prepare(each: socket.socket) -> None:
        for number in options:
            each.setsockopt(socket.IPPROTO_IPV6, number, 1)
        each.bind((host, 0))

    return prepare


def on_the_link(own: str, foreign: str) -> Iterator[Attempt]:
    """By addresses that are of the link alone, which a policy engine may not know a pod by."""
    links = [each for each in OWN_6 if each.startswith("fe80")] or ["fe80::7"]
    node, kubelet = f"{LINK_LOCAL}%eth0", 10250
    for host in (node, "fe80::1%eth0"):
        yield "link-local", host, lambda h=host: connect_from("::", h, kubelet)
        yield "link-local ping", host, lambda h=host: ping_6(h, "link-local ping")
    for each in links:
        for host in (node, *GIVEN["nodes six"], GIVEN["own gateway six"] or "fe80::9"):
            way = "from a link-local address"
            yield way, host, lambda s=each, h=host: connect_from(s, h, kubelet)
    yield "ping all nodes", "ff02::1", lambda: ping_6("ff02::1%eth0", "ping all nodes")
    target = socket.inet_pton(socket.AF_INET6, foreign)
    for way, kind, content in (
        ("neighbour claim", 136, struct.pack(">I", 0x20000000) + target + b"\x02\x01" + bytes(6)),
        ("router claim", 134, struct.pack(">BBHII", 64, 0, 1800, 0, 0)),
    ):
        message = struct.pack(">BBH", kind, 0, 0) + content
        yield way, foreign, lambda m=message: raw_6(58, "ff02::1%eth0", m)
    way = "frame, router claim"
    whole = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    yield way, foreign, lambda w=whole: claim_6(own, w)


def claim_6(own: str, message: bytes) -> str:
    message = message[:2] + sum_6(58, own, "ff02::1", message) + message[4:]
    with packet_socket(0x86DD) as each:
        packet = ipv6_packet(58, own, "ff02::1", message, 255)
        each.send(b"\x33\x33\0\0\0\x01" + hardware("eth0") + b"\x86\xdd" + packet)
        return "sent"


def other_protocols() -> Iterator[Attempt]:
    inet, where = socket.AF_INET, (OUTSIDE, PORT)
    for way, family, kind, protocol, address in (
        ("sctp", inet, socket.SOCK_STREAM, socket.IPPROTO_SCTP, where),
        ("udplite", inet, socket.SOCK_DGRAM, IPPROTO_UDPLITE, where),
        ("dccp", inet, SOCK_DCCP, 33, where),
        ("mptcp", inet, socket.SOCK_STREAM, 262, where),
        ("vsock to the host", socket.AF_VSOCK, socket.SOCK_STREAM, 0, (2, PORT)),
        ("socket of containerd", socket.AF_UNIX, socket.SOCK_STREAM, 0, GIVEN["containerd"]),
    ):
        given = (family, kind, protocol, address)
        yield way, str(address), lambda g=given: other_kind(*g)


def own_sidecar() -> Iterator[Attempt]:
    own = ("127.0.0.1", "127.0.0.2", "0.0.0.0", OWN, "::1", f"::ffff:{OWN}", SOME_OWN_6)
    for host in own:
        yield "own sidecar", host, lambda h=host: sidecar(h)
    for word, numbers in (("freebind", (IP_FREEBIND,)), ("transparent", (IP_TRANSPARENT,))):
        prepare = bound_to(GIVEN["foreign"], *numbers)
        way = f"own sidecar, {word} to another's address"
        yield way, OWN, lambda p=prepare: sidecar(OWN, p)


def came_of(attempt: Attempt) -> tuple[str, str, str]:
    way, where, work = attempt
    try:
        return way, where, work()
    except TimeoutError:
        return way, where, "no answer"
    except OSError as error:
        return way, where, str(error.strerror or error).lower()


with ThreadPoolExecutor(32) as together:
    sys.stdout.write(json.dumps(list(together.map(came_of, ways()))))
