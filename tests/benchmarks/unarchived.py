"""The operator without its archive, to compare with: whoever goes leaves no record behind."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from isola_operator.__main__ import main
from isola_operator.archivist import Archivist, W
from isola_store.port import Logged


async def _nothing(self: Archivist, item: Logged, seen: W) -> W:  # noqa: ARG001 - as the original
    return replace(seen, recorded=True)


Archivist.write_rest = _nothing

if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
