"""Figures of one run on the local cluster, as ratios against what Kubernetes alone does.

    make bench                                    # everything
    python tests/benchmarks [life|network|transfer|crowd|snapshots] ...

Each pair is measured in turn, A B A B …, on the same cluster, and its median is quoted. Absolute
figures are the machine's; the ratios are ours. Nothing is asserted.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import crowd, life, network, snapshots, transfer
from benchmarks.figures import machine
from support.cluster import up

BENCHMARKS = {
    "life": life.measure,
    "network": network.measure,
    "transfer": transfer.measure,
    "crowd": crowd.measure,
    "snapshots": snapshots.measure,
}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(BENCHMARKS)
    cluster = up()
    print(machine())
    for name in chosen:
        print(f"\n{name}")
        BENCHMARKS[name](cluster)
