"""Real servers of object storage, one of each kind, as processes on loopback."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiobotocore.session import get_session
from azure.storage.blob.aio import ContainerClient

from support.kubernetes_server import free_port
from support.toolchain import binaries, npm

USER = "isola-tests"
SECRET = "isola-tests-secret"
# The one account that Azurite always has; its key is in its documentation.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
REGION = "us-east-1"


@dataclass(frozen=True)
class Server:
    """A server of object storage.

    Attributes:
        kind: Scheme of its buckets' URLs.
        endpoint: Its address.
        environment: Variables with credentials for it.
        process: It.
    """

    kind: str
    endpoint: str
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def url(self, bucket: str, endpoint: str = "") -> str:
        """Return the URL of a bucket, reached by way of another endpoint where one is given."""
        where = endpoint or self.endpoint
        match self.kind:
            case "s3":
                query = f"region={REGION}&endpoint={where}&use_path_style=true"
            case "gs":
                query = f"endpoint={where}"
            case _:
                query = f"storage_account={ACCOUNT}&endpoint={where}"
        return f"{self.kind}://{bucket}?{query}"


@contextmanager
def minio(folder: Path) -> Generator[Server]:
    """Yield MinIO: S3."""
    port = free_port()
    command = [binaries("minio") / "minio", "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    environment = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET}
    with _running(
        [*command, folder / "minio"],
        folder / "minio.log",
        f"http://127.0.0.1:{port}/minio/health/ready",
        {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off"},
    ) as process:
        yield Server("s3", f"http://127.0.0.1:{port}", process, environment)


@contextmanager
def fake_gcs(folder: Path) -> Generator[Server]:
    """Yield fake-gcs-server: Google Cloud Storage."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [
        binaries("fake-gcs-server") / "fake-gcs-server",
        "-scheme=http",
        "-host=127.0.0.1",
        f"-port={port}",
        "-backend=memory",
        f"-external-url={endpoint}",
        f"-public-host=127.0.0.1:{port}",
        "-log-level=error",
    ]
    log = folder / "fake-gcs-server.log"
    with _running(command, log, f"{endpoint}/_internal/healthcheck") as process:
        yield Server("gs", endpoint, process)


@contextmanager
def azurite(folder: Path) -> Generator[Server]:
    """Yield Azurite: Azure Blob Storage."""
    port = free_port()
    command = [
        "node",
        npm("azurite") / "node_modules/azurite/dist/src/blob/main.js",
        "--blobHost=127.0.0.1",
        f"--blobPort={port}",
        "--inMemoryPersistence",
        "--silent",
        "--skipApiVersionCheck",
        "--disableTelemetry",
    ]
    log = folder / "azurite.log"
    with _running(command, log, f"http://127.0.0.1:{port}/{ACCOUNT}") as process:
        environment = {"AZURE_STORAGE_KEY": ACCOUNT_KEY}
        yield Server("azblob", f"http://127.0.0.1:{port}", process, environment)


@contextmanager
def _running(
    command: Sequence[str | Path],
    log: Path,
    answers: str,
    environment: Mapping[str, str] | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        _wait(answers, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return  # it is there, and wants to know who asks
        except OSError:
            pass
        else:
            return
        time.sleep(0.05)
    raise RuntimeError(log.read_text()[-3000:])


async def make(server: Server, name: str) -> None:
    """Create a bucket."""
    match server.kind:
        case "s3":
            session: Any = get_session()
            async with session.create_client(
                "s3",
                region_name=REGION,
                endpoint_url=server.endpoint,
                aws_access_key_id=USER,
                aws_secret_access_key=SECRET,
            ) as client:
                await client.create_bucket(Bucket=name)
        case "gs":
            async with aiohttp.ClientSession(raise_for_status=True) as session:
                await session.post(f"{server.endpoint}/storage/v1/b", json={"name": name})
        case _:
            url = f"{server.endpoint}/{ACCOUNT}"
            credential: Any = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY}
            async with ContainerClient(url, name, credential=credential) as container:
                await container.create_container()
