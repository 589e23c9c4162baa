"""Write api/openapi/gateway.json from the gateway's contract, or check that it is current.

Usage: python3 hack/openapi.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from isola_gateway.openapi import document

TARGET = Path(__file__).parents[1] / "api" / "openapi" / "gateway.json"


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if not parser.parse_args().check:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() != text:
        sys.stderr.write(f"{TARGET.name} is not current: run python3 hack/openapi.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
