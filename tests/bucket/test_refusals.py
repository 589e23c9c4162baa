"""What stands in the way, told so that a caller knows what to do."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from isola_bucket.address import GcsAddress
from isola_bucket.connection import connected
from isola_bucket.errors import (
    AccessError,
    AddressError,
    ObjectExistsError,
    UnavailableError,
)
from isola_bucket.gcs import GcsBucket
from isola_bucket.port import Bucket, Part, Upload
from support.buckets import Server
from support.kubernetes_server import free_port


async def first(bucket: Bucket) -> None:
    """Put the first part of an object."""
    upload = await bucket.begin("rootfssnapshots/a/b.tar.zst", {})
    await bucket.put_part(upload, 1, b"x")


async def test_a_listing_of_no_bucket_is_for_people_to_mend(server: Server) -> None:
    async with connected(server.url("nobodys"), server.environment) as bucket:
        with pytest.raises(AccessError):
            await anext(aiter(bucket.entries("rootfssnapshots/")))


async def test_a_bucket_that_is_not_there_is_for_people_to_mend(server: Server) -> None:
    async with connected(server.url("nobodys"), server.environment) as bucket:
        with pytest.raises(AccessError):
            await first(bucket)


async def test_wrong_credentials_are_for_people_to_mend(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server.kind == "gs":
        pytest.skip("the emulator asks for none")
    wrong = dict.fromkeys(server.environment, "d3Jvbmc=")
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    async with connected(server.url("snapshots"), wrong) as bucket:
        with pytest.raises(AccessError):
            await first(bucket)


async def test_a_bucket_that_does_not_answer_may_answer_later(server: Server) -> None:
    url = server.url("snapshots", f"http://127.0.0.1:{free_port()}")
    async with connected(url, server.environment) as bucket:
        with pytest.raises(UnavailableError):
            await bucket.head("a")


async def test_a_malformed_address_is_told_before_anything_is_asked() -> None:
    with pytest.raises(AddressError):
        connected("s3:/b", {})


async def test_google_is_told_to_compose_only_where_nothing_is() -> None:
    # The emulator composes without heeding this, so its two racing uploads would prove nothing.
    asked: list[str | None] = []

    async def compose(request: web.Request) -> web.Response:
        asked.append(request.query.get("ifGenerationMatch"))
        return web.json_response({"error": {"code": 412}}, status=412)

    async def listing(_: web.Request) -> web.Response:
        item = {"name": "isola-uploads/k/u/00001", "size": "1"}
        return web.json_response({"items": [item]})

    async def missing(_: web.Request) -> web.Response:
        return web.json_response({}, status=404)

    app = web.Application()
    app.router.add_post("/storage/v1/b/b/o/k/compose", compose)
    app.router.add_get("/storage/v1/b/b/o", listing)
    app.router.add_get("/storage/v1/b/b/o/k", missing)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with aiohttp.ClientSession() as session:
        bucket = GcsBucket(
            session, None, GcsAddress(bucket="b", endpoint=f"http://127.0.0.1:{port}")
        )
        with pytest.raises(ObjectExistsError):
            await bucket.complete(Upload("k", "u"), [Part(1, 1)], {})
    await runner.cleanup()
    assert asked == ["0"]
