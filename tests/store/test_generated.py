"""The Kubernetes client without what is generated in it, as images have it: 120 MB less."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.kubernetes_server import NAMESPACE, ApiServer

PROGRAM = """
import asyncio, re, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if re.fullmatch(r"kubernetes[.](aio[.])?client[.](api|models)[.].+", name):
            raise ImportError(f"{name} is left out")

sys.meta_path.insert(0, Without())
from isola_store.client import KubernetesClient
from isola_lifecycle.errors import NotFoundError

async def main(kubeconfig, namespace):
    async with await KubernetesClient.connect(kubeconfig) as client:
        at = f"/api/v1/namespaces/{namespace}/configmaps"
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "lean-"}}
        name = (await client.request("POST", at, made))["metadata"]["name"]
        async for event in client.watch(at, {"resourceVersion": "0"}, timeout_seconds=30):
            if event["object"]["metadata"]["name"] == name:
                break
        await client.request("DELETE", f"{at}/{name}")
        try:
            await client.request("GET", f"{at}/{name}")
        except NotFoundError:
            print("done")

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.apiserver
def test_requests_watches_and_errors_need_nothing_that_is_generated(api_server: ApiServer) -> None:
    command = [sys.executable, "-c", PROGRAM, str(api_server.kubeconfig), NAMESPACE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
