"""Figures of one run on the local cluster, as ratios against what Kubernetes alone does.

    make bench                                    # everything
    python tests/benchmarks [life|network|history|transfer|crowd|snapshots|fleet|cost|client] ...

`fleet`, `cost` and `client` need no cluster.

Each pair is measured in turn, A B A B …, on the same cluster, and its median is quoted. Absolute
figures are the machine's; the ratios are ours. Nothing is asserted.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import client, cost, crowd, fleet, history, life, network, snapshots, transfer
from benchmarks.figures import machine
from support.cluster import up

# On the cluster.
BENCHMARKS = {
    "life": life.measure,
    "network": network.measure,
    "history": history.measure,
    "transfer": transfer.measure,
    "crowd": crowd.measure,
    "snapshots": snapshots.measure,
}
# On an API server of their own, or on none.
ALONE = {"fleet": fleet.measure, "cost": cost.measure, "client": client.measure}

if __name__ == "__main__":
    chosen = sys.argv[1:] or [*BENCHMARKS, *ALONE]
    cluster = up() if set(chosen) & set(BENCHMARKS) else None
    print(machine())
    for name in chosen:
        print(f"\n{name}")
        if name in ALONE:
            ALONE[name]()
        elif cluster:
            BENCHMARKS[name](cluster)
