"""The gateway as a process, on a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx

from support.cluster import until
from support.kubernetes_server import NAMESPACE, ApiServer, free_port


@contextmanager
def running_gateway(api_server: ApiServer) -> Generator[tuple[str, subprocess.Popen[bytes]]]:
    """Yield a gateway's address and the process, once it is ready."""
    port = free_port()
    environment = {
        **os.environ,
        "KUBECONFIG": str(api_server.kubeconfig),
        "ISOLA_SANDBOX_NAMESPACE": NAMESPACE,
        "ISOLA_HTTP_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "isola_gateway"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        comes_to_hold(lambda: is_up(url))
        yield url, process
    finally:
        process.kill()
        process.wait()


def is_up(url: str) -> bool:
    """Return whether what listens there says that it is ready."""
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def comes_to_hold(holds: Any, seconds: float = 60) -> None:
    """Return once something holds, which it does some time soon."""
    until(holds, seconds=seconds, what="it did not come to hold")


def resource(api_server: ApiServer, kind: str, name: str) -> Any:
    """Return a custom resource as kubectl shows it."""
    return json.loads(api_server.run_kubectl("get", kind, name, "-o", "json").stdout)
