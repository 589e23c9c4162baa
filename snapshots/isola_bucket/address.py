"""The URL of a bucket, as the chart writes it.

    s3://BUCKET?region=REGION&endpoint=URL&use_path_style=true
    gs://BUCKET
    azblob://CONTAINER?storage_account=ACCOUNT

Every parameter but `storage_account` may be left out. Developers' servers are reached by
`endpoint` in all three; for S3 that is also how any other service that speaks it is. Credentials
are never in it: they are for the service's own chain to find (workload identity, environment).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from isola_bucket.errors import AddressError

_EXAMPLES = {
    "s3": "s3://BUCKET?region=REGION",
    "gs": "gs://BUCKET",
    "azblob": "azblob://CONTAINER?storage_account=ACCOUNT",
}
_PARAMETERS = {
    "s3": {"region", "endpoint", "use_path_style"},
    "gs": {"endpoint"},
    "azblob": {"storage_account", "endpoint"},
}
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """A bucket of S3, or of a service that speaks it.

    Attributes:
        bucket: Its name.
        region: Where it is, or empty for what the environment says.
        endpoint: URL of the service, or empty for AWS.
        path_style: Whether the bucket is in the path rather than in the host name.
    """

    bucket: str
    region: str = ""
    endpoint: str = ""
    path_style: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GcsAddress:
    """A bucket of Google Cloud Storage.

    Attributes:
        bucket: Its name.
        endpoint: URL of an emulator, which is not asked for credentials; empty for Google.
    """

    bucket: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureAddress:
    """A container of Azure Blob Storage.

    Attributes:
        container: Its name.
        account: The storage account.
        endpoint: URL of an emulator, without the account; empty for Azure.
    """

    container: str
    account: str
    endpoint: str = ""


Address = S3Address | GcsAddress | AzureAddress


def parse(url: str) -> Address:
    """Return what a URL stands for.

    Raises:
        AddressError: It is malformed.
    """
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise AddressError(f"the bucket's URL {url!r} is malformed: {error}") from error
    example = _EXAMPLES.get(parts.scheme)
    if example is None:
        raise AddressError(f"the bucket's URL {url!r} begins with none of s3://, gs://, azblob://")
    if not parts.netloc or "@" in parts.netloc or parts.path.strip("/") or parts.fragment:
        raise AddressError(f"the bucket's URL {url!r} should look like {example}")
    values = _parameters(url, parts.scheme, pairs)
    if parts.scheme == "s3":
        return S3Address(
            bucket=parts.netloc,
            region=values.get("region", ""),
            endpoint=values.get("endpoint", ""),
            path_style=_truth(url, values.get("use_path_style", "false")),
        )
    if parts.scheme == "gs":
        return GcsAddress(bucket=parts.netloc, endpoint=values.get("endpoint", ""))
    if not values.get("storage_account"):
        raise AddressError(f"the bucket's URL {url!r} lacks a storage_account: {example}")
    return AzureAddress(
        container=parts.netloc,
        account=values["storage_account"],
        endpoint=values.get("endpoint", ""),
    )


def _parameters(url: str, scheme: str, pairs: list[tuple[str, str]]) -> Mapping[str, str]:
    values = dict(pairs)
    odd = values.keys() - _PARAMETERS[scheme]
    if odd or len(values) < len(pairs):
        known = ", ".join(sorted(_PARAMETERS[scheme]))
        raise AddressError(f"the bucket's URL {url!r} may have these, each once: {known}")
    if (endpoint := values.get("endpoint")) and not endpoint.startswith(("http://", "https://")):
        raise AddressError(f"the endpoint in {url!r} should begin with http:// or https://")
    return values


def _truth(url: str, value: str) -> bool:
    if value not in _TRUTH:
        raise AddressError(f"use_path_style in {url!r} is {value!r}; it must be true or false")
    return _TRUTH[value]
