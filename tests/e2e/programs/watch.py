"""Tells which marked packets a node passes on, until its standard input ends.

    python3 -c … MARK ADDRESS...

The addresses are of who sends them; what is sent back there (an ICMP error quotes what it is about)
is no packet passed on. On standard output, as JSON: the ways, as the packets name them, that
arrived at the node and that left it again, for another pod or for another machine.
"""

import json
import re
import select
import socket
import sys

ALL, OUTGOING = 3, 4
# The question of a name server has other letters between its words.
MARK = re.compile(sys.argv[1].encode() + rb"[:-]([^:]+?)(:|\x04test)")
SENDER = {
    socket.inet_pton(socket.AF_INET6 if ":" in each else socket.AF_INET, each)
    for each in sys.argv[2:]
}

arrived, left = set[str](), set[str]()
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 25)
sys.stderr.write("watching\n")
sys.stderr.flush()
while select.select([wire, sys.stdin], [], [])[0] != [sys.stdin]:
    packet, about = wire.recvfrom(65536)
    found = MARK.search(packet)
    if found and not {packet[30:34], packet[38:54]} & SENDER:
        way = found.group(1).decode().replace("-", " ").strip()
        (left if about[2] == OUTGOING else arrived).add(way)
sys.stdout.write(json.dumps({"arrived": sorted(arrived), "left": sorted(left)}))
