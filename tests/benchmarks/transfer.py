"""Large files in and out, and much output: against kubectl's own ways."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import httpx
import isola

from benchmarks.figures import MEBIBYTE, compare, in_turn, mebibytes, row
from support import memory
from support.cluster import SANDBOXES, Cluster

ROUNDS = 3
FILE_BYTES = 512 * MEBIBYTE
OUTPUT_BYTES = 100 * MEBIBYTE
PIECE_BYTES = MEBIBYTE


def measure(cluster: Cluster) -> None:
    """Print the figures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        isola.Isola(url=cluster.url) as client,
        httpx.Client(base_url=f"{cluster.url}/v1", timeout=120) as http,
        client.sandboxes.create(image=cluster.image, timeout_seconds=3600) as sandbox,
    ):
        before = _memory(cluster, sandbox)
        _files(cluster, http, sandbox, Path(folder))
        _output(cluster, http, sandbox)
        after = _memory(cluster, sandbox)
    for who, was, now in zip(("gateway", "sidecar"), before, after, strict=True):
        row(f"memory of the {who} before", mebibytes(was))
        row(f"memory of the {who} after", mebibytes(now))
    row("most that the gateway ever held", mebibytes(memory.gateway(cluster).peak))


def _files(cluster: Cluster, http: httpx.Client, sandbox: isola.Sandbox, folder: Path) -> None:
    here, back = folder / "here", folder / "back"
    with here.open("wb") as file:
        for _ in range(FILE_BYTES // MEBIBYTE):
            file.write(os.urandom(MEBIBYTE))
    url = f"/sandboxes/{sandbox.id}/filesystem"
    pod = f"{SANDBOXES}/{sandbox.id}-pod"

    def upload() -> None:
        sandbox.filesystem.write("/ours", here.open("rb"))

    def download() -> None:
        with http.stream("GET", url, params={"path": "/ours"}) as answer, back.open("wb") as file:
            for piece in answer.iter_raw(PIECE_BYTES):
                file.write(piece)

    def copy(source: str, target: str) -> None:
        cluster.kubectl("cp", "-c", "sandbox0", source, target)

    up = in_turn(ROUNDS, upload, lambda: copy(str(here), f"{pod}:/theirs"))
    compare("upload of 512 MiB", up[0], "kubectl cp", up[1], size=FILE_BYTES, target=">= 3")
    down = in_turn(ROUNDS, download, lambda: copy(f"{pod}:/theirs", str(back)))
    compare("download of 512 MiB", down[0], "kubectl cp", down[1], size=FILE_BYTES, target=">= 3")


def _output(cluster: Cluster, http: httpx.Client, sandbox: isola.Sandbox) -> None:
    """As bytes, and as events; a line of text is some 80 characters."""
    script = f"yes '{'x' * 79}' | head -c {OUTPUT_BYTES} >/output"
    sandbox.commands.run("sh", "-c", script)
    pod = ("exec", "-n", SANDBOXES, f"{sandbox.id}-pod", "-c", "sandbox0", "--", "cat", "/output")
    for what, accepted in (("octets", "application/octet-stream"), ("events", "text/event-stream")):

        def stream(accepted: str = accepted) -> None:
            command = sandbox.commands.spawn("cat", "/output")
            url = f"/sandboxes/{sandbox.id}/commands/{command.id}/stdout"
            with http.stream("GET", url, headers={"Accept": accepted}) as answer:
                for _ in answer.iter_raw():
                    pass

        ours, theirs = in_turn(ROUNDS, stream, lambda: cluster.kubectl(*pod))
        compare(
            f"100 MiB of output as {what}",
            ours,
            "kubectl exec … cat",
            theirs,
            size=OUTPUT_BYTES,
            target="",
        )


def _memory(cluster: Cluster, sandbox: isola.Sandbox) -> tuple[int, int]:
    sidecar = sandbox.commands.run(*memory.OF_THE_SIDECAR).stdout
    return memory.gateway(cluster).now, int(sidecar) * 1024
