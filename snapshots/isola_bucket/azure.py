"""Azure Blob Storage.

The service knows no uploads, only blocks that a blob may be made of. So a block's name begins with
the id of its upload, and an upload is there as long as blocks of it are. What follows from that:
one upload at a time for a key, as completing or aborting one drops the blocks of all others.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import ContainerClient

from isola_bucket.address import AzureAddress
from isola_bucket.errors import (
    AccessError,
    BucketError,
    ObjectExistsError,
    ObjectNotFoundError,
    UnavailableError,
    UploadNotFoundError,
)
from isola_bucket.port import Entry, Part, Stored, Upload

_PIECE_BYTES = 1024 * 1024
_FIRST_BYTES = 4 * 1024 * 1024  # one request for what is small; what is large comes in pieces
_MISSING_UPLOAD = {"InvalidBlockList"}
_TAKEN = {"BlobAlreadyExists", "UnauthorizedBlobOverwrite"}
_PASSING = {"Md5Mismatch", "OperationTimedOut"}


@asynccontextmanager
async def connected(
    address: AzureAddress, environment: Mapping[str, str], silence_seconds: float
) -> AsyncGenerator[AzureBucket]:
    """Yield the container at an address.

    Credentials are the account's key in `AZURE_STORAGE_KEY`, a shared access signature in
    `AZURE_STORAGE_SAS_TOKEN`, or what Azure's chain finds, workload identity among it.
    """
    async with AsyncExitStack() as stack:
        key = environment.get("AZURE_STORAGE_KEY")
        signature = environment.get("AZURE_STORAGE_SAS_TOKEN")
        credential: Any = (
            {"account_name": address.account, "account_key": key} if key else signature
        ) or await stack.enter_async_context(DefaultAzureCredential())
        url = (
            f"{address.endpoint}/{address.account}"
            if address.endpoint
            else f"https://{address.account}.blob.core.windows.net"
        )
        client = ContainerClient(
            url,
            address.container,
            credential=credential,
            retry_total=0,  # our callers retry
            connection_timeout=min(silence_seconds, 10),
            read_timeout=silence_seconds,
            max_single_get_size=_FIRST_BYTES,
            max_chunk_get_size=_PIECE_BYTES * 4,
        )
        yield AzureBucket(await stack.enter_async_context(client))


class AzureBucket:
    """A `Bucket` of Azure Blob Storage.

    Args:
        container: The SDK's client for the container.
    """

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def begin(self, key: str, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload; see `Bucket.begin`."""
        del metadata  # is said on completion
        return Upload(key, uuid.uuid4().hex)

    async def put_part(self, upload: Upload, number: int, body: bytes) -> Part:
        """Put a part; see `Bucket.put_part`."""
        with _translated():
            await self._blob(upload.key).stage_block(
                _block(upload, number), io.BytesIO(body), length=len(body), validate_content=True
            )
        return Part(number, len(body))

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """Return what has arrived; see `Bucket.parts`."""
        _, blocks = await self._blocks(upload.key)
        found = [
            Part(int(block.id.removeprefix(f"{upload.id}-")), int(block.size))
            for block in blocks
            if block.id.startswith(upload.id)
        ]
        if not found:
            raise UploadNotFoundError(f"no upload {upload.id} of {upload.key}")
        return sorted(found, key=lambda part: part.number)

    async def complete(
        self,
        upload: Upload,
        parts: Sequence[Part],
        metadata: Mapping[str, str],
        *,
        replace: bool = False,
    ) -> None:
        """Make the object; see `Bucket.complete`."""
        blocks = [BlobBlock(_block(upload, part.number)) for part in parts]
        only_new = {} if replace else {"match_condition": MatchConditions.IfMissing}
        with _translated():
            await self._blob(upload.key).commit_block_list(
                blocks, metadata=dict(metadata), **only_new
            )

    async def abort(self, upload: Upload) -> None:
        """Forget an upload; see `Bucket.abort`."""
        try:
            await self.parts(upload)
        except UploadNotFoundError:
            return
        # A commit drops the blocks that it does not name: all of them where there is no blob yet.
        blob = self._blob(upload.key)
        with suppress(ObjectExistsError), _translated():
            made = await blob.commit_block_list([], match_condition=MatchConditions.IfMissing)
            await blob.delete_blob(etag=made["etag"], match_condition=MatchConditions.IfNotModified)
            return
        with suppress(ObjectNotFoundError), _translated():
            there = await blob.get_blob_properties()
            committed, _ = await self._blocks(upload.key)
            await blob.commit_block_list(
                committed,
                metadata=there.metadata,
                etag=there.etag,
                match_condition=MatchConditions.IfNotModified,
            )

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        """Return what is under way; see `Bucket.uploads`."""
        found: dict[Upload, None] = {}
        with _translated():
            async for blob in self._container.list_blobs(
                name_starts_with=prefix, include=["uncommittedblobs"]
            ):
                _, blocks = await self._blocks(blob.name)
                for block in blocks:
                    found[Upload(blob.name, block.id.rpartition("-")[0])] = None
        return list(found)

    async def head(self, key: str) -> Stored:
        """Return what is known of an object; see `Bucket.head`."""
        with _translated():
            there = await self._blob(key).get_blob_properties()
        return Stored(
            key=key,
            size_bytes=there.size,
            modified_at=there.last_modified,
            tag=there.etag,
            metadata=there.metadata,
        )

    async def read(self, key: str, *, start: int = 0, tag: str = "") -> AsyncGenerator[bytes]:
        """Yield an object's bytes; see `Bucket.read`."""
        wanted: dict[str, Any] = (
            {"etag": tag, "match_condition": MatchConditions.IfNotModified} if tag else {}
        )
        with _translated():
            try:
                answer = await self._blob(key).download_blob(offset=start, **wanted)
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # from the end on there is nothing
                raise
            async for piece in answer.chunks():
                yield piece

    async def entries(self, prefix: str) -> AsyncIterator[Entry]:
        """Yield objects; see `Bucket.entries`."""
        with _translated():
            async for blob in self._container.list_blobs(name_starts_with=prefix):
                yield Entry(key=blob.name, size_bytes=blob.size, modified_at=blob.last_modified)

    async def delete(self, key: str, *, tag: str = "") -> None:
        """Remove an object; see `Bucket.delete`."""
        wanted: dict[str, Any] = (
            {"etag": tag, "match_condition": MatchConditions.IfNotModified} if tag else {}
        )
        with suppress(ObjectNotFoundError), _translated():
            await self._blob(key).delete_blob(**wanted)

    def _blob(self, key: str) -> Any:
        # Half of what the SDK's methods take and return is not typed.
        return self._container.get_blob_client(key)

    async def _blocks(self, key: str) -> tuple[list[BlobBlock], list[BlobBlock]]:
        # Those that the blob is made of, and those that were only brought.
        try:
            with _translated():
                return await self._blob(key).get_block_list("all")
        except ObjectNotFoundError:
            return [], []


def _block(upload: Upload, number: int) -> str:
    return f"{upload.id}-{number:05d}"


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except ClientAuthenticationError as error:
        raise AccessError(str(error)) from error
    except HttpResponseError as error:
        raise _error_of(error) from error
    except (AzureError, TimeoutError, OSError) as error:
        raise UnavailableError(f"no answer from the bucket: {error!r}") from error


def _error_of(error: HttpResponseError) -> BucketError:
    code: str | None = getattr(error, "error_code", None)  # one of an enumeration of words
    status = error.status_code or 0
    if code in _TAKEN:
        return ObjectExistsError(str(error))
    if code in _MISSING_UPLOAD:
        return UploadNotFoundError(str(error))
    if code == "ContainerNotFound":
        return AccessError(str(error))
    if isinstance(error, ResourceNotFoundError) or status == HTTPStatus.PRECONDITION_FAILED:
        return ObjectNotFoundError(str(error))
    if (
        code in _PASSING
        or status in {0, HTTPStatus.TOO_MANY_REQUESTS}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        return UnavailableError(str(error))
    return AccessError(str(error))
