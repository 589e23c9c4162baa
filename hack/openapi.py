"""Write api/openapi/*.json from the contracts, or check that they are current.

Usage: python3 hack/openapi.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from isola_gateway.openapi import GATEWAY, SIDECAR, document

FOLDER = Path(__file__).parents[1] / "api" / "openapi"
DOCUMENTS = {"gateway.json": GATEWAY, "sidecar.json": SIDECAR}


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    check, code = parser.parse_args().check, 0
    for name, api in DOCUMENTS.items():
        text = json.dumps(document(api), indent=2, ensure_ascii=False) + "\n"
        if not check:
            (FOLDER / name).write_text(text)
        elif (FOLDER / name).read_text() != text:
            sys.stderr.write(f"{name} is not current: run make openapi\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
