"""Write what is made of chart/values.yaml, or check that it is current.

Usage: python3 hack/values.py [--check]

chart/values.md has a row for each comment that begins with "# --": the key below it, what it is by
default, and the comment. `tests/chart/test_values.py` sees to it that every key has one.

chart/files/values.txt has the paths of all single values, by which the chart finds out that it was
given none of its own defaults (`helm upgrade --reuse-values`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "chart"
SOURCE = CHART / "values.yaml"
MARK = "# -- "

HEADER = """\
# All values

Written by `hack/values.py` from the comments in [values.yaml](values.yaml): change them there.
[README.md](README.md) has the ones that matter first.
"""


def documented(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield path, default as JSON, and description of each key with a comment, in order."""
    defaults: dict[str, Any] = yaml.safe_load(text)
    above: list[tuple[int, str]] = []  # indentation and name of the keys that lead to a line
    description = ""
    for line in text.splitlines():
        body = line.lstrip()
        if body.startswith(MARK):
            description = body.removeprefix(MARK)
        elif body and not body.startswith("#"):
            indentation = len(line) - len(body)
            above = [each for each in above if each[0] < indentation]
            above.append((indentation, body.partition(":")[0]))
            if description:
                names = [name for _, name in above]
                default: Any = reduce(lambda held, name: held[name], names, defaults)
                yield ".".join(names), json.dumps(default), description
            description = ""


def table(text: str) -> str:
    """Return the page for a values.yaml."""
    page, section = HEADER, ""
    for path, default, description in documented(text):
        top = path.partition(".")[0] if "." in path else "Names"
        if top != section:
            page += f"\n## {top}\n\n| Value | Default | |\n|---|---|---|\n"
            section = top
        escaped = description.replace("|", "\\|")
        page += f"| `{path}` | `{default}` | {escaped} |\n"
    return page


def paths(text: str) -> str:
    """Return the paths of all values that are neither null nor made of others, one a line."""
    return "".join(
        f"{path}\n"
        for path, default, _ in documented(text)
        # Keys that are no identifiers are those of maps in which a user may have others.
        if default[0] not in "[{n" and path.replace(".", "_").isidentifier()
    )


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    check = parser.parse_args().check
    text = SOURCE.read_text()
    made = {CHART / "values.md": table(text), CHART / "files" / "values.txt": paths(text)}
    stale = [path.name for path, content in made.items() if _content(path) != content]
    if check and stale:
        sys.stderr.write(f"{', '.join(stale)}: not current; run python3 hack/values.py\n")
        return 1
    for path, content in made.items():
        path.write_text(content)
    return 0


def _content(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
