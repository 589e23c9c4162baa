"""Errors of object storage, named by what the caller must do.

    BucketError
    ├── AddressError           the bucket's URL is malformed: tell the operator, never retry
    ├── AccessError            credentials, rights or the bucket are not there: likewise
    ├── ObjectNotFoundError    no such object (any more, or not in that version)
    ├── ObjectExistsError      the key is taken, and the caller did not say that it replaces
    ├── UploadNotFoundError    no such upload under way: begin another one
    └── UnavailableError       the service or the way to it fails: back off and try again

The services' own exceptions are translated to them in one place each, beside the calls.
"""

from __future__ import annotations


class BucketError(Exception):
    """Something about object storage that the caller has to act on."""


class AddressError(BucketError):
    """The URL of a bucket is malformed; the message says where, and how it should be."""


class AccessError(BucketError):
    """The service refuses: wrong credentials, too few rights, or no such bucket."""


class ObjectNotFoundError(BucketError):
    """The object does not exist, or is no longer the one that the caller has seen."""


class ObjectExistsError(BucketError):
    """There is an object under that key."""


class UploadNotFoundError(BucketError):
    """The upload was completed, aborted or forgotten by the service."""


class UnavailableError(BucketError):
    """The request may succeed later."""
