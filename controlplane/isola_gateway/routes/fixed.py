"""What never changes while a gateway runs: pages for people, and this API's description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256

from quart import Response, request


def fixed(content: bytes, media_type: str, may: str) -> Callable[[], Awaitable[Response]]:
    """Return a view of content that is the same for everybody.

    Args:
        content: What is shown.
        media_type: What it is.
        may: What a browser may do with it, as directives of a Content-Security-Policy; all else
            it may not: run, fetch, send or be framed.
    """
    tag = sha256(content).hexdigest()[:32]
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; {may}; base-uri 'none'; form-action 'none';"
            " frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        # It changes with the release, and the browser asks whether it has.
        "Cache-Control": "no-cache",
    }

    async def answer() -> Response:
        response = Response(content, content_type=media_type, headers=headers)
        response.set_etag(tag)
        await response.make_conditional(request)
        return response

    return answer
