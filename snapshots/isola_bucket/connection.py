"""From a bucket's URL to the bucket. A service's SDK is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from isola_bucket.address import AzureAddress, GcsAddress, S3Address, parse
from isola_bucket.port import Bucket

# A service that sends nothing for so long is given up, for that request.
SILENCE_SECONDS = 30.0


def connected(
    url: str, environment: Mapping[str, str], *, silence_seconds: float = SILENCE_SECONDS
) -> AbstractAsyncContextManager[Bucket]:
    """Return a context that yields the bucket at `url`.

    Args:
        url: See `address`.
        environment: Where Azure's credentials may be; the other SDKs look for themselves.
        silence_seconds: How long a service may send nothing before a request has failed.

    Raises:
        AddressError: The URL is malformed.
    """
    match parse(url):
        case S3Address() as address:
            from isola_bucket import s3  # noqa: PLC0415 - half a second for each

            return s3.connected(address, silence_seconds)
        case GcsAddress() as address:
            from isola_bucket import gcs  # noqa: PLC0415 - likewise

            return gcs.connected(address, silence_seconds)
        case AzureAddress() as address:
            from isola_bucket import azure  # noqa: PLC0415 - likewise

            return azure.connected(address, environment, silence_seconds)
