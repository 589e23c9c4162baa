"""The sidecar as a process in a pod of its own, asked for all that its document promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.asking import LONGEST_SECONDS, Server, ask
from sidecar.pods import Pod, require_tools


@pytest.mark.timeout(LONGEST_SECONDS)
def test_it_keeps_every_promise(tmp_path: Path) -> None:
    require_tools()
    with Pod(tmp_path / "pod", own_network=True) as pod:
        pod.add("sandbox0", prepare="mkdir /sandbox", directory="/sandbox")
        client = pod.start_sidecar()
        server = Server("sidecar.json", f"http://{client.host}:{client.port}", "/v1/commands")
        report = ask(server, tmp_path, examples=80)

    assert report.code == 0, report.output
    assert report.requests >= 1800
    assert not [status for status in report.statuses() if status >= 500], report.answers
    assert report.never_accepted() == {"openTerminal"}  # schemathesis speaks no WebSocket
