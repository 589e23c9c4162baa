"""Write the Python client's synchronous side from the other one, or check that it is current.

Usage: python3 hack/sdk_sync.py [--check]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "api" / "sdk" / "python" / "isola_sdk"
OWN = {"__init__.py", "runtime.py"}

# In this order; the rest of each file is the same.
RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bisola_sdk\.aio\b", "isola_sdk.sync"),
        (r"\bfrom contextlib import aclosing\b", "from contextlib import closing"),
        (r"\baclosing\b", "closing"),
        (r"\basynccontextmanager, contextmanager\b", "contextmanager"),
        (r"\basynccontextmanager\b", "contextmanager"),
        (r"\benter_async_context\b", "enter_context"),
        (r"\bAsyncGenerator, AsyncIterable, Generator\b", "Generator, Iterable"),
        (r"\bAsync(?=[A-Z])", ""),
        (r"__a(iter|next|enter|exit)__", r"__\1__"),
        (r"\baiter_raw\b", "iter_raw"),
        (r"\baclose\b", "close"),
        (r"\basync (?=def|with|for)", ""),
        (r"\bawait ", ""),
        (r"\basynchronous", "synchronous"),
    )
]


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    check, code = parser.parse_args().check, 0
    sources = {path for path in (PACKAGE / "aio").glob("*.py") if path.name not in OWN}
    texts = {PACKAGE / "sync" / path.name: synchronous(path) for path in sources}
    for path in (PACKAGE / "sync").glob("*.py"):
        if path not in texts and path.name not in OWN:
            sys.stderr.write(f"{path.name} is made from nothing: remove it\n")
            code = 1
    for path, text in texts.items():
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.stderr.write(f"{path.name} is not current: run python3 hack/sdk_sync.py\n")
            code = 1
    return code


def synchronous(path: Path) -> str:
    """Return the module that is made from an asynchronous one, formatted."""
    text = path.read_text()
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    name = PACKAGE / "sync" / path.name
    for command in (("check", "--fix-only", "--select=I"), ("format",)):
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", name, "-"]
        done = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


if __name__ == "__main__":
    sys.exit(main())
