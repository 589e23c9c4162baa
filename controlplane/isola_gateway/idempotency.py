"""One object for one key, however often its request is sent, and to however many gateways.

There is no store of keys. The object's name follows from the key, so the API server, which gives
a name once, decides who of any number of equal requests creates; all others read what is there.
What a key stands for lasts as long as its object: once that is gone, the name is free, and the
next request under the key is a new one.

The digest of the body tells a request that was repeated from one that reuses a key by mistake
(draft-ietf-httpapi-idempotency-key-header, 2.7: that is a 422).
"""

from __future__ import annotations

import json
from hashlib import sha256

from isola_gateway.ports import Writer
from isola_lifecycle import naming
from isola_lifecycle.errors import AlreadyExistsError, NotFoundError
from isola_rest.models import Body
from isola_rest.problem import ProblemError, unprocessable
from isola_store.port import Draft, T

HEADER = "Idempotency-Key"

# An object that goes between creating and reading is rare, and one that does so twice is none.
_ATTEMPTS = 3
_REUSED = "was used for another request; a new one needs a new key"


def digest_of(asked: Body) -> str:
    """Return the digest of what a request asks for, however it is written down.

    Order of fields, white space, `$schema` and `null` for "not given" make no difference. Neither
    does a release in between: fields that it adds are not given in older requests.
    """
    content = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


async def created(store: Writer[T], draft: Draft) -> tuple[T, bool]:
    """Return the object that `draft` asks for, and whether it was there before.

    One without a digest asks for a new one; that its name is taken is then an error.

    Raises:
        AlreadyExistsError: The name is taken by something that no request under a key made.
        ProblemError: 422, the key was used for another request.
    """
    if not draft.request_digest:
        return await store.create(draft), False
    for _ in range(_ATTEMPTS - 1):
        try:
            return await store.create(draft), False
        except AlreadyExistsError as error:
            try:
                found = await store.read(draft.name)
            except NotFoundError:
                continue
            digest = found.annotations.get(naming.REQUEST_DIGEST_ANNOTATION)
            if digest is None:
                raise
            if digest != draft.request_digest:
                raise _reused() from error
            return found, True
    return await store.create(draft), False


def _reused() -> ProblemError:
    return unprocessable(f"header.{HEADER}", _REUSED)
