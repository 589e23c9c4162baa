"""Labels at create, and lists of a part: by labels, by status, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fakes import TEMPLATE, Client, World, started
from isola_store.memory import MemorySandboxes
from isola_store.port import Draft

BODY = {"podTemplate": {"containers": [{"image": "busybox"}]}}


async def posted(client: Client, labels: Any) -> Any:
    return await client.post("/v1/sandboxes", json={**BODY, "labels": labels})


async def got(client: Client, path: str = "/v1/sandboxes", **query: Any) -> Any:
    response = await client.get(path, query_string=query)
    assert response.status_code == 200, await response.get_data(as_text=True)
    return await response.json


async def ids(client: Client, **query: Any) -> str:
    return " ".join(s["id"] for s in (await got(client, **query))["sandboxes"])


async def exists(gateway: World, name: str, **labels: str) -> None:
    labels = {key.replace("_", "/"): value for key, value in labels.items()}
    await gateway.store.create(Draft(name=name, spec=TEMPLATE, labels=labels))


# --- labels ------------------------------------------------------------------------------------


async def test_labels_are_kept_on_the_object_and_shown_everywhere(
    client: Client, gateway: World
) -> None:
    labels = {"team": "search", "example.com/run": "7", "empty": "", "a" * 63: "b" * 63}
    created = await (await posted(client, labels)).json
    assert created["labels"] == labels
    assert (await gateway.store.read(created["id"])).labels == labels
    one = await (await client.get(f"/v1/sandboxes/{created['id']}")).json
    assert one["labels"] == labels
    assert (await got(client))["sandboxes"][0]["labels"] == labels


@pytest.mark.parametrize("labels", [None, {}])
async def test_no_labels_are_not_shown(client: Client, labels: Any) -> None:
    response = await posted(client, labels)
    assert response.status_code == 201
    assert "labels" not in await response.json
    assert "labels" not in (await got(client))["sandboxes"][0]


async def test_what_others_label_for_themselves_is_not_shown(
    client: Client, gateway: World
) -> None:
    await exists(gateway, "box", team="a", **{"app.kubernetes.io_name": "x", "isola.run_x": "y"})
    assert (await got(client))["sandboxes"][0]["labels"] == {"team": "a"}


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({str(number): "" for number in range(17)}, "At most 16 labels, not 17"),
        ({"": "x"}, "'' is no key"),
        ({"a" * 64: "x"}, "is no key"),
        ({"-a": "x"}, "'-a' is no key"),
        ({"a b": "x"}, "'a b' is no key"),
        ({"a\n": "x"}, "is no key"),
        ({"/a": "x"}, "'/a' is no key"),
        ({"Example.com/a": "x"}, "is no key"),
        ({f"{'a' * 254}/a": "x"}, "is no key"),
        ({"a/b/c": "x"}, "'a/b/c' is no key"),
        ({"isola.run/a": "x"}, "'isola.run/a' is reserved"),
        ({"sandbox.isola.run/a": "x"}, "is reserved"),
        ({"app.kubernetes.io/name": "x"}, "is reserved"),
        ({"kubernetes.io/a": "x"}, "is reserved"),
        ({"x.k8s.io/a": "x"}, "is reserved"),
        ({"a": "x" * 64}, "is no value of 'a'"),
        ({"a": "x_"}, "'x_' is no value of 'a'"),
        ({"a": "x y"}, "is no value of 'a'"),
        ({"a": "x\n"}, "is no value of 'a'"),
    ],
)
async def test_what_cannot_be_a_label_is_422_and_says_why(
    client: Client, gateway: World, labels: Any, told: str
) -> None:
    response = await posted(client, labels)
    assert response.status_code == 422
    [error] = (await response.json)["errors"]
    assert error["location"] == "body.labels"
    assert told in error["message"]
    assert not await gateway.store.list()


@pytest.mark.parametrize("labels", [["a"], {"a": 1}, {"a": None}], ids=repr)
async def test_labels_are_texts_by_key(client: Client, labels: Any) -> None:
    response = await posted(client, labels)
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"].startswith("body.labels")


@pytest.mark.parametrize("key", ["notisola.run/a", "isola.run", "kubernetes.io.example.com/a"])
async def test_what_only_looks_reserved_is_free(client: Client, key: str) -> None:
    assert (await posted(client, {key: "x"})).status_code == 201


# --- selectors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("", "one two three four"),
        ("team=a", "one two"),
        ("team==a", "one two"),
        ("team!=a", "three four"),
        ("team=a,stage=test", "two"),
        (" team = a , stage != test ", "one"),
        ("team=a,team=b", ""),
        ("example.com/run=7", "three"),
        ("stage=", "three"),
        ("stage!=", "one two four"),
        ("Team=a", ""),
    ],
)
async def test_a_selector_chooses_as_kubectl_would(
    client: Client, gateway: World, selector: str, chosen: str
) -> None:
    await exists(gateway, "one", team="a")
    await exists(gateway, "two", team="a", stage="test")
    await exists(gateway, "three", team="b", stage="", **{"example.com_run": "7"})
    await exists(gateway, "four")
    assert await ids(client, labels=selector) == chosen


@pytest.mark.parametrize(
    "selector",
    [
        *("team", "!team", "team in (a,b)", "=a", "team=a,", ",", " ", "a=b=c", "a===b", "a!==b"),
        *("-a=b", "a=b_", "team=a;b=c", "a>1", "team=\n"),
    ],
)
async def test_what_is_no_selector_is_422(client: Client, selector: str) -> None:
    response = await client.get("/v1/sandboxes", query_string={"labels": selector})
    assert response.status_code == 422
    [error] = (await response.json)["errors"]
    assert error["location"] == "query.labels"


async def test_a_list_by_status(client: Client, gateway: World) -> None:
    await gateway.exists("waits")
    await gateway.exists("runs", *started())
    assert await ids(client, status="Running") == "runs"
    assert await ids(client, status="Pending") == "waits"
    assert await ids(client, status="Failed") == ""
    refused = await client.get("/v1/sandboxes?status=running")
    assert (await refused.json)["errors"][0]["location"] == "query.status"


# --- pages -------------------------------------------------------------------------------------


async def paged(
    client: Client, listed: tuple[str, str] = ("/v1/sandboxes", "sandboxes"), **query: Any
) -> list[str]:
    path, field = listed
    pages: list[str] = []
    while True:
        page = await got(client, path, **query)
        pages.append(" ".join(item["id"] for item in page[field]))
        if "nextCursor" not in page:
            return pages
        query["cursor"] = page["nextCursor"]


@pytest.mark.parametrize(
    ("query", "pages"),
    [
        ({}, ["e d c b a"]),
        ({"limit": 2}, ["e d", "c b", "a"]),
        ({"limit": 5}, ["e d c b a"]),
        ({"limit": 1000}, ["e d c b a"]),
        ({"limit": 1, "labels": "half=first"}, ["e", "d"]),
        ({"limit": 2, "labels": "half=second", "status": "Pending"}, ["c b", "a"]),
        ({"limit": 2, "status": "Failed"}, [""]),
    ],
)
async def test_pages_together_are_the_whole_list(
    client: Client, gateway: World, query: dict[str, Any], pages: list[str]
) -> None:
    for name in "edcba":
        await exists(gateway, name, half="first" if name in "ed" else "second")
    assert await paged(client, **query) == pages


async def test_those_of_the_same_second_are_in_the_order_of_their_names(gateway: World) -> None:
    client = gateway.app().test_client()
    for name in "cab":
        sandbox = await MemorySandboxes().create(Draft(name=name, spec=TEMPLATE))
        gateway.view.take(sandbox)
    assert await paged(client, limit=1) == ["a", "b", "c"]


async def test_a_page_follows_although_the_one_before_it_is_gone(
    client: Client, gateway: World
) -> None:
    for name in "abc":
        await exists(gateway, name)
    first = await got(client, limit=2)
    for name in "ab":
        sandbox = await gateway.store.read(name)
        await gateway.store.delete(name, uid=sandbox.uid)
        await gateway.store.remove_finalizer(await gateway.store.read(name))
    await exists(gateway, "d")
    assert await ids(client, cursor=first["nextCursor"]) == "c d"


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("limit=0", "query.limit"),
        ("limit=1001", "query.limit"),
        ("limit=many", "query.limit"),
        ("cursor=", "query.cursor"),
        ("cursor=nonsense", "query.cursor"),
        ("cursor=1.A", "query.cursor"),
        ("cursor=1.a%0A", "query.cursor"),
    ],
)
async def test_what_is_no_limit_or_cursor_is_422(client: Client, query: str, location: str) -> None:
    response = await client.get(f"/v1/sandboxes?{query}")
    assert response.status_code == 422
    assert (await response.json)["errors"][0]["location"] == location
