"""What a sandbox sends in a second is what it was given, whoever measures it."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import isola
import pytest

from e2e.surroundings import ALLOWED, Surroundings, source
from isola_lifecycle.sandbox.network import Network
from isola_operator.manifests.network import rate_annotations

SINK = f"{ALLOWED}:7001"
KIBIBYTE = 1024
RATES = [256 * KIBIBYTE, 1024 * KIBIBYTE, 4096 * KIBIBYTE]
SECONDS = 12


def burst(rate: int) -> int:
    """Return how much the bucket lets go at once before it holds anything back."""
    return int(rate_annotations(Network(rate=rate))["dev.gvisor.flag.qdisc-tbf-burst"])


@pytest.fixture(scope="module")
def measured(around: Surroundings) -> dict[str, float]:
    """Bytes a second that arrived outside of the cluster, by what was asked for; all at once."""
    command = around.command(around.host("A"), "sink.py", SINK, str(len(RATES)))
    with ExitStack() as stack:
        client = stack.enter_context(isola.Isola(url=around.cluster.url))
        sandboxes = [stack.enter_context(limited(client, around, rate)) for rate in RATES]
        sink = subprocess.Popen(
            ["kubectl", *command],
            env=around.cluster.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.callback(sink.kill)
        assert sink.stderr
        assert sink.stderr.readline() == "listening\n"
        with ThreadPoolExecutor() as together:
            list(together.map(send, sandboxes, RATES))
        return json.loads(sink.communicate(timeout=60)[0])


def limited(client: isola.Isola, around: Surroundings, rate: int) -> isola.Sandbox:
    network = isola.Network.model_validate(
        {"allowedEgressCIDRs": [f"{ALLOWED}/32"], "egressRateLimitBytesPerSecond": rate}
    )
    image = around.cluster.image
    return client.sandboxes.create(image=image, network=network, timeout_seconds=900)


def send(sandbox: isola.Sandbox, rate: int) -> None:
    arguments = (SINK, str(rate), str(2 * burst(rate)), str(SECONDS))
    done = sandbox.commands.run("python3", "-c", source("send.py"), *arguments)
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("rate", RATES)
def test_a_sandbox_sends_what_it_was_given_within_a_tenth(
    measured: dict[str, float], rate: int, capsys: pytest.CaptureFixture[str]
) -> None:
    came = measured[str(rate)]
    with capsys.disabled():
        told = f"asked for {rate}, measured {came:.0f} bytes a second: {came / rate:.3f}"
        print(f"\n{told}")  # noqa: T201 - the figure itself
    assert came == pytest.approx(rate, rel=0.1)
