"""URLs of buckets, and what is said of those that are none."""

from __future__ import annotations

import pytest

from isola_bucket.address import Address, AzureAddress, GcsAddress, S3Address, parse
from isola_bucket.errors import AddressError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        pytest.param("s3://b", S3Address(bucket="b"), id="s3"),
        pytest.param(
            "s3://b?region=eu-west-1&endpoint=http://minio.minio:9000&use_path_style=true",
            S3Address(
                bucket="b", region="eu-west-1", endpoint="http://minio.minio:9000", path_style=True
            ),
            id="what speaks s3",
        ),
        pytest.param(
            "s3://b?region=r&endpoint=https%3A%2F%2Fs3.example%3A9000&use_path_style=false",
            S3Address(bucket="b", region="r", endpoint="https://s3.example:9000"),
            id="an endpoint that is escaped",
        ),
        pytest.param("gs://b", GcsAddress(bucket="b"), id="google"),
        pytest.param(
            "azblob://c?storage_account=a", AzureAddress(container="c", account="a"), id="azure"
        ),
    ],
)
def test_a_url_stands_for_an_address(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        pytest.param("", "begins with none of", id="empty"),
        pytest.param("ftp://b", "begins with none of", id="another service"),
        pytest.param("s3://", "should look like s3://BUCKET", id="no bucket"),
        pytest.param("s3://b/folder", "should look like", id="a folder"),
        pytest.param("s3://key:secret@b", "should look like", id="credentials in the URL"),
        pytest.param("s3://b?regoin=x", "may have these", id="a typing error"),
        pytest.param("s3://b?region=x&region=y", "each once", id="one twice"),
        pytest.param("s3://b?region", "malformed", id="no value"),
        pytest.param("s3://b?use_path_style=yes", "must be true or false", id="no truth"),
        pytest.param("s3://b?endpoint=minio:9000", "begin with http", id="an endpoint of no kind"),
        pytest.param("azblob://c", "lacks a storage_account", id="no account"),
        pytest.param("s3://[b", "malformed", id="no host name"),
    ],
)
def test_a_malformed_url_is_refused_with_what_is_wrong(url: str, complaint: str) -> None:
    with pytest.raises(AddressError, match=complaint):
        parse(url)
