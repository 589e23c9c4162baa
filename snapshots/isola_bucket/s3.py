"""S3, and every service that speaks it.

Parts carry a Content-MD5, which all of them compare. The newer checksums that botocore adds by
itself are refused or ignored by many, and are left out.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnectedError

from isola_bucket.address import S3Address
from isola_bucket.errors import (
    AccessError,
    BucketError,
    ObjectExistsError,
    ObjectNotFoundError,
    UnavailableError,
    UploadNotFoundError,
)
from isola_bucket.port import Entry, Part, Stored, Upload

_PIECE_BYTES = 256 * 1024
_MISSING_OBJECT = {"NoSuchKey", "404", "PreconditionFailed", "412"}
_MISSING_UPLOAD = {"NoSuchUpload", "InvalidPart", "InvalidPartOrder"}
_TAKEN = {"PreconditionFailed", "412"}
_PASSING = {"BadDigest", "RequestTimeout", "SlowDown", "ConditionalRequestConflict"}


@asynccontextmanager
async def connected(address: S3Address, silence_seconds: float) -> AsyncGenerator[S3Bucket]:
    """Yield the bucket at an address, with what credentials the SDK's chain finds."""
    config = AioConfig(
        connect_timeout=min(silence_seconds, 10),
        read_timeout=silence_seconds,
        max_pool_connections=32,
        retries={"total_max_attempts": 1},  # our callers retry
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if address.path_style else "auto"},
    )
    session: Any = get_session()  # its stubs leave the client open
    client = session.create_client(
        "s3",
        region_name=address.region or None,
        endpoint_url=address.endpoint or None,
        config=config,
    )
    with _translated():
        opened = await client.__aenter__()
    try:
        yield S3Bucket(opened, address.bucket)
    finally:
        await client.__aexit__(None, None, None)


class S3Bucket:
    """A `Bucket` of S3.

    Args:
        client: aiobotocore's client for S3.
        name: The bucket's.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    async def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload; see `Bucket.begin`."""
        with _translated():
            answer = await self._client.create_multipart_upload(
                Bucket=self._name, Key=key, Metadata=dict(metadata)
            )
        return Upload(key, answer["UploadId"])

    async def put_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Put a part; see `Bucket.put_part`."""
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        with _translated():
            answer = await self._client.upload_part(
                **self._of(upload),
                PartNumber=number,
                Body=io.BytesIO(body),
                ContentMD5=base64.b64encode(digest).decode(),
            )
        return Part(number, len(body), answer["ETag"])

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """Return what has arrived; see `Bucket.parts`."""
        found: list[Part] = []
        with _translated():
            async for page in self._pages("list_parts", **self._of(upload)):
                found += [
                    Part(part["PartNumber"], part["Size"], part["ETag"])
                    for part in page.get("Parts", ())
                ]
        return found

    async def complete(
        self,
        upload: Upload,
        parts: Sequence[Part],
        metadata: Mapping[str, str],
        *,
        replace: bool = False,
    ) -> None:
        """Make the object; see `Bucket.complete`."""
        del metadata  # was said when it began
        names = [{"PartNumber": part.number, "ETag": part.tag} for part in parts]
        with _translated(taken=True):
            await self._client.complete_multipart_upload(
                **self._of(upload),
                MultipartUpload={"Parts": names},
                **({} if replace else {"IfNoneMatch": "*"}),
            )

    async def abort(self, upload: Upload) -> None:
        """Forget an upload; see `Bucket.abort`."""
        try:
            with _translated():
                await self._client.abort_multipart_upload(**self._of(upload))
        except UploadNotFoundError:
            return

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        """Return what is under way; see `Bucket.uploads`."""
        found: list[Upload] = []
        with _translated():
            async for page in self._pages(
                "list_multipart_uploads", Bucket=self._name, Prefix=prefix
            ):
                found += [Upload(item["Key"], item["UploadId"]) for item in page.get("Uploads", ())]
        return found

    async def head(self, key: str) -> Stored:
        """Return what is known of an object; see `Bucket.head`."""
        with _translated():
            answer = await self._client.head_object(Bucket=self._name, Key=key)
        return Stored(
            key=key,
            size_bytes=answer["ContentLength"],
            modified_at=answer["LastModified"],
            tag=answer["ETag"],
            metadata=answer["Metadata"],
        )

    async def read(self, key: str, *, start: int = 0, tag: str = "") -> AsyncGenerator[bytes]:
        """Yield an object's bytes; see `Bucket.read`."""
        wanted = {"Range": f"bytes={start}-"} if start else {}
        if tag:
            wanted["IfMatch"] = tag
        with _translated():
            try:
                answer = await self._client.get_object(Bucket=self._name, Key=key, **wanted)
            except ClientError as error:
                if _status(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # from the end on there is nothing
                raise
            async with answer["Body"] as body:
                while piece := await body.read(_PIECE_BYTES):
                    yield piece

    async def entries(self, prefix: str) -> AsyncIterator[Entry]:
        """Yield objects; see `Bucket.entries`."""
        with _translated():
            async for page in self._pages("list_objects_v2", Bucket=self._name, Prefix=prefix):
                for item in page.get("Contents", ()):
                    yield Entry(
                        key=item["Key"], size_bytes=item["Size"], modified_at=item["LastModified"]
                    )

    async def delete(self, key: str, *, tag: str = "") -> None:
        """Remove an object; see `Bucket.delete`."""
        wanted = {"IfMatch": tag} if tag else {}
        try:
            with _translated():
                await self._client.delete_object(Bucket=self._name, Key=key, **wanted)
        except ObjectNotFoundError:
            return

    def _of(self, upload: Upload) -> dict[str, str]:
        return {"Bucket": self._name, "Key": upload.key, "UploadId": upload.id}

    def _pages(self, operation: str, **arguments: str) -> AsyncIterator[dict[str, Any]]:
        return self._client.get_paginator(operation).paginate(**arguments)


@contextmanager
def _translated(*, taken: bool = False) -> Generator[None]:
    try:
        yield
    except ClientError as error:
        raise _error_of(error, taken=taken) from error
    except (HTTPClientError, NotConnectedError, HttpError, TimeoutError, OSError) as error:
        raise UnavailableError(f"no answer from the bucket: {error!r}") from error
    except BotoCoreError as error:  # no credentials, no region
        raise AccessError(f"the bucket cannot be asked: {error}") from error


def _status(error: ClientError) -> int:
    answer: Any = error.response
    return answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _error_of(error: ClientError, *, taken: bool) -> BucketError:
    answer: Any = error.response
    code: str = answer.get("Error", {}).get("Code", "")
    if taken and code in _TAKEN:
        return ObjectExistsError(f"the key is taken: {error}")
    if code in _MISSING_UPLOAD:
        return UploadNotFoundError(str(error))
    if code in _MISSING_OBJECT:
        return ObjectNotFoundError(str(error))
    if (
        code in _PASSING
        or _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR
        or _status(error) == HTTPStatus.TOO_MANY_REQUESTS
    ):
        return UnavailableError(str(error))
    return AccessError(str(error))
