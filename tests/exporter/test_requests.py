"""A request is found again by its id: from the response to the log, the trace and its records."""

from __future__ import annotations

import httpx
import pytest

from exporter.scene import TRACEPARENT, Scene, assert_told
from gateway.process import running_gateway
from isola_exporter.model import Ids, Kind
from support.kubernetes_server import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

OTHER = TRACEPARENT.replace("00f067aa0ba902b7", "1111111111111111")
ASKED = {"podTemplate": {"containers": [{"image": "i"}]}}


async def test_the_id_of_a_response_leads_to_log_entry_trace_and_record(
    scene: Scene, api_server: ApiServer
) -> None:
    await scene.exporting()
    with running_gateway(api_server) as (url, _):
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            made = await http.post(
                "/v1/sandboxes", json=ASKED, headers={"traceparent": TRACEPARENT}
            )
            sandbox = await scene.store.read(made.json()["id"])
            asked = {"Pending": made.headers["X-Request-Id"]}

            async def delete(name: str) -> None:
                gone = await http.delete(f"/v1/sandboxes/{name}", headers={"traceparent": OTHER})
                asked["Terminating"] = gone.headers["X-Request-Id"]

            await scene.live(sandbox, delete=delete)
    assert len(set(asked.values())) == 2
    life = Ids(sandbox.uid).span(Kind.LIFE, 1)
    await scene.until(lambda: life in scene.spans(sandbox.uid))
    assert_told(scene, sandbox)
    # The log, and with it its records: assert_told has held one to the other.
    caused = {e.type: e.request_id for e in scene.told(sandbox.uid) if e.request_id}
    assert caused == {"Accepted": asked["Pending"], "TerminationRequested": asked["Terminating"]}
    spans = scene.spans(sandbox.uid)
    begun = {
        span["name"]: attribute["value"]["stringValue"]
        for span in spans.values()
        for attribute in span["attributes"]
        if attribute["key"] == "isola.request_id"
    }
    assert begun == {**asked, "sandbox": asked["Pending"]}
    linked = [link["spanId"] for link in spans[life]["links"]]
    assert linked == [each.split("-")[2] for each in (TRACEPARENT, OTHER)]
