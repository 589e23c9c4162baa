"""Google Cloud Storage, by its JSON API.

The service's own resumable uploads know one process, one part at a time and a secret address. So
parts are objects of their own, below `_FOLDER`, and are composed to the object in rounds of 32:

    isola-uploads/KEY/ID/begun      metadata of an upload that has begun
    isola-uploads/KEY/ID/00001      its parts
    isola-uploads/KEY/ID/1-00001    what 32 of them make, while it is completed

Refused: the XML API's multipart uploads, which know no preconditions. Credentials are
gcloud-aio-auth's to find; its storage client composes without metadata and is left aside.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
from gcloud.aio.auth import Token

from isola_bucket.address import GcsAddress
from isola_bucket.errors import (
    AccessError,
    BucketError,
    ObjectExistsError,
    ObjectNotFoundError,
    UnavailableError,
    UploadNotFoundError,
)
from isola_bucket.port import Entry, Part, Stored, Upload

_GOOGLE = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_FOLDER = "isola-uploads/"
_BEGUN = "begun"
_MOST_COMPOSED = 32
_JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def connected(address: GcsAddress, silence_seconds: float) -> AsyncGenerator[GcsBucket]:
    """Yield the bucket at an address, with what credentials the environment has."""
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=min(silence_seconds, 10), sock_read=silence_seconds
    )
    async with aiohttp.ClientSession(timeout=timeout) as session:
        token = None if address.endpoint else Token(session=session, scopes=[_SCOPE])
        yield GcsBucket(session, token, address)


class GcsBucket:
    """A `Bucket` of Google Cloud Storage.

    Args:
        session: Where requests are made.
        token: Gives access tokens; None for an emulator.
        address: The bucket's.
    """

    def __init__(
        self, session: aiohttp.ClientSession, token: Token | None, address: GcsAddress
    ) -> None:
        self._session = session
        self._token = token
        root = address.endpoint or _GOOGLE
        self._objects = f"{root}/storage/v1/b/{address.bucket}/o"
        self._inserts = f"{root}/upload/storage/v1/b/{address.bucket}/o"

    async def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload; see `Bucket.begin`."""
        upload = Upload(key, uuid.uuid4().hex)
        await self._insert(f"{_folder(upload)}{_BEGUN}", json.dumps(dict(metadata)).encode())
        return upload

    async def put_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Put a part; see `Bucket.put_part`."""
        found = await self._insert(f"{_folder(upload)}{number:05d}", body)
        if found["md5Hash"] != _md5(body):
            raise UnavailableError(f"part {number} of {upload.key} was damaged on its way")
        return Part(number, len(body))

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """Return what has arrived; see `Bucket.parts`."""
        folder = _folder(upload)
        found = {item["name"].removeprefix(folder): item async for item in self._items(folder)}
        if not found:
            raise UploadNotFoundError(f"no upload {upload.id} of {upload.key}")
        return [
            Part(int(name), int(item["size"])) for name, item in found.items() if name.isdecimal()
        ]

    async def complete(
        self,
        upload: Upload,
        parts: Sequence[Part],
        metadata: Mapping[str, str],
        *,
        replace: bool = False,
    ) -> None:
        """Make the object; see `Bucket.complete`."""
        if set(parts) - set(await self.parts(upload)):
            raise UploadNotFoundError(f"a part of {upload.key} is missing")
        # Composing heeds the precondition, and asking first saves the rounds before it.
        if not replace and await self._exists(upload.key):
            raise ObjectExistsError(f"there is an object {upload.key}")
        names = [f"{_folder(upload)}{part.number:05d}" for part in parts]
        level = 0
        while len(names) > _MOST_COMPOSED:
            level += 1
            names = [
                await self._compose(
                    f"{_folder(upload)}{level}-{at:05d}", names[at:][:_MOST_COMPOSED]
                )
                for at in range(0, len(names), _MOST_COMPOSED)
            ]
        await self._compose(
            upload.key, names, metadata, query={} if replace else {"ifGenerationMatch": "0"}
        )
        await self.abort(upload)

    async def abort(self, upload: Upload) -> None:
        """Forget an upload; see `Bucket.abort`."""
        # What shows that there is something to forget goes last.
        names = [item["name"] async for item in self._items(_folder(upload))]
        for name in sorted(names, key=lambda name: name.endswith(_BEGUN)):
            await self._remove(name)

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        """Return what is under way; see `Bucket.uploads`."""
        found: dict[Upload, None] = {}
        async for item in self._items(f"{_FOLDER}{prefix}"):
            key, identifier, _ = item["name"].removeprefix(_FOLDER).rsplit("/", 2)
            found[Upload(key, identifier)] = None
        return list(found)

    async def head(self, key: str) -> Stored:
        """Return what is known of an object; see `Bucket.head`."""
        item = await self._json("GET", self._url(key))
        return Stored(
            key=key,
            size_bytes=int(item["size"]),
            modified_at=_time(item["updated"]),
            tag=item["generation"],
            metadata=item.get("metadata", {}),
        )

    async def read(self, key: str, *, start: int = 0, tag: str = "") -> AsyncGenerator[bytes]:
        """Yield an object's bytes; see `Bucket.read`."""
        query = {"alt": "media", **({"generation": tag} if tag else {})}
        headers = {"Range": f"bytes={start}-"} if start else {}
        with _translated():
            async with self._session.get(
                self._url(key),
                params=query,
                headers={**await self._authorization(), **headers},
                auto_decompress=False,
            ) as answer:
                if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # from the end on there is nothing
                await _raise_for(answer)
                async for piece in answer.content.iter_any():
                    yield piece

    async def entries(self, prefix: str) -> AsyncIterator[Entry]:
        """Yield objects; see `Bucket.entries`."""
        async for item in self._items(prefix):
            if not item["name"].startswith(_FOLDER):
                yield Entry(
                    key=item["name"],
                    size_bytes=int(item["size"]),
                    modified_at=_time(item["updated"]),
                )

    async def delete(self, key: str, *, tag: str = "") -> None:
        """Remove an object; see `Bucket.delete`."""
        await self._remove(key, {"ifGenerationMatch": tag} if tag else {})

    async def _exists(self, key: str) -> bool:
        try:
            await self.head(key)
        except ObjectNotFoundError:
            return False
        return True

    async def _insert(self, name: str, body: bytes) -> dict[str, Any]:
        query = {"uploadType": "media", "name": name}
        with _bucket_exists():
            return await self._json("POST", self._inserts, body, query)

    async def _compose(
        self,
        name: str,
        sources: Sequence[str],
        metadata: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> str:
        order = {
            "sourceObjects": [{"name": source} for source in sources],
            "destination": {"contentType": "application/octet-stream"}
            | ({"metadata": dict(metadata)} if metadata else {}),
        }
        try:
            await self._json(
                "POST", f"{self._url(name)}/compose", json.dumps(order).encode(), query, _JSON
            )
        except ObjectNotFoundError as error:
            raise UploadNotFoundError(str(error)) from error
        return name

    async def _remove(self, name: str, query: Mapping[str, str] | None = None) -> None:
        try:
            await self._json("DELETE", self._url(name), query=query)
        except (ObjectNotFoundError, ObjectExistsError):
            return

    async def _items(self, prefix: str) -> AsyncIterator[dict[str, Any]]:
        query = {"prefix": prefix}
        while True:
            with _bucket_exists():
                page = await self._json("GET", self._objects, query=query)
            for item in page.get("items", ()):
                yield item
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def _url(self, name: str) -> str:
        return f"{self._objects}/{quote(name, safe='')}"

    async def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self._token.get()}"} if self._token else {}

    async def _json(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        with _translated():
            async with self._session.request(
                method,
                url,
                data=io.BytesIO(body) if body else None,
                params=query or {},
                headers={**await self._authorization(), **(headers or {})},
            ) as answer:
                await _raise_for(answer)
                content = await answer.read()
        return json.loads(content) if content else {}


def _folder(upload: Upload) -> str:
    return f"{_FOLDER}{upload.key}/{upload.id}/"


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _raise_for(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= HTTPStatus.BAD_REQUEST:
        text = (await answer.text(errors="replace"))[:500]
        raise _error_of(answer.status, f"{answer.status} from the bucket: {text}")


def _error_of(status: int, message: str) -> BucketError:
    match status:
        case HTTPStatus.NOT_FOUND:
            return ObjectNotFoundError(message)
        case HTTPStatus.PRECONDITION_FAILED:
            return ObjectExistsError(message)
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.TOO_MANY_REQUESTS:
            return UnavailableError(message)
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return UnavailableError(message)
        case _:
            return AccessError(message)


@contextmanager
def _bucket_exists() -> Generator[None]:
    try:
        yield
    except ObjectNotFoundError as error:  # no object was asked for
        raise AccessError(str(error)) from error


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except aiohttp.ClientResponseError as error:  # of the token's server
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnavailableError(f"no access token: {error}") from error
        raise AccessError(f"no access token: {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"no answer from the bucket: {error!r}") from error
