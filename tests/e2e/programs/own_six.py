"""Tells which IPv6 addresses this pod has, as JSON."""

import json
import socket
import sys

found = [line.split()[0] for line in open("/proc/net/if_inet6")]  # noqa: PTH123, SIM115 - short
told = [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(each)) for each in found]
sys.stdout.write(json.dumps(told))
