"""What is in the bucket, a JSON object a line: with or without a custom resource that knows it.

    {"key": …, "sizeBytes": …, "modifiedAt": …, "tag": …, "metadata": {…}}

`metadata` is what `isola_bucket.contents` reads: empty for what others have put there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import UTC

from isola_bucket.port import Bucket
from isola_uploader.shelf import Shelf


async def lines(bucket: Bucket, prefix: str) -> AsyncGenerator[str]:
    """Yield a line for every object below a prefix; one that goes meanwhile is left out."""
    async for entry in bucket.entries(prefix):
        stored = await Shelf(bucket, entry.key).head()
        if stored:
            yield json.dumps(
                {
                    "key": stored.key,
                    "sizeBytes": stored.size_bytes,
                    "modifiedAt": stored.modified_at.astimezone(UTC).isoformat(),
                    "tag": stored.tag,
                    "metadata": dict(stored.metadata),
                }
            )
