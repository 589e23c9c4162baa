"""Our TypeScript client in Node, where it takes real gVisor, real object storage, real policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdk_typescript.conftest import project
from sdk_typescript.tools import run
from support.cluster import Cluster, fresh

__all__ = ["project"]

pytestmark = pytest.mark.timeout(600)


def test_every_row_of_the_table_is_right(cluster: Cluster, project: Path) -> None:
    told = run(
        *("node", "--experimental-websocket", "out/cluster.js"),
        *(cluster.url, cluster.image, fresh("solved-ts")),
        cwd=project,
        seconds=550,
        NODE_NO_WARNINGS="1",
    )
    results = json.loads(told.splitlines()[-1])
    assert len(results) == 5
    assert {row: why for row, why in results.items() if why} == {}
