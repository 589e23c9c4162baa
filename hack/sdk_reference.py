"""Write api/sdk/python/reference.md from signatures and docstrings, or check that it is current.

Usage: python3 hack/sdk_reference.py [--check]

What `isola_sdk.__all__` names is told, and whatever classes of ours its signatures name besides.
The asynchronous side is told with the other one, from which it differs in how a method is called.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import griffe

FOLDER = Path(__file__).parents[1] / "api" / "sdk" / "python"
TARGET = FOLDER / "reference.md"
WIDTH = 100

T = TypeVar("T", bound=griffe.Object)

# The order in which a reader meets them.
CLIENT = (
    "Isola", "Sandboxes", "Sandbox", "Commands", "Command", "StreamReader", "Terminal",
    "Filesystem", "RootfsSnapshots", "RootfsSnapshot",
)  # fmt: skip

HEADER = """\
# Reference of the Python client

Written by `hack/sdk_reference.py` from the docstrings: change them there.
[README.md](README.md) has examples.

Everything here is imported from `isola`. Each class of the first section has a twin for asyncio,
`Async` before its name, with the same methods: what says `await` or `async for` is called so
there, the rest as here. Where a file or an iterable is taken, the twin takes an asynchronous one
as well.
"""


class Reference:
    """The page, as it grows."""

    def __init__(self, package: griffe.Module) -> None:
        self._package = package
        self._public = [str(name) for name in package.exports or ()]
        self._besides: list[griffe.Class] = []  # what is not public, and yet comes back

    def page(self) -> str:
        """Return it."""
        parts = [HEADER, "## Client"]
        parts += [part for name in CLIENT for part in self._client(name)]
        errors = [name for name in self._public if name.endswith("Error")]
        tree = self._package["errors"].docstring.value.split("\n\n", 1)[1]
        parts += ["## Errors", f"```text\n{tree}\n```"]
        parts += [part for name in errors for part in self._value(self._class(name))]
        parts.append("## Functions and values")
        twins = {f"Async{name}" for name in CLIENT}
        for name in sorted(set(self._public) - twins - {*CLIENT, *errors, "__version__"}):
            found = self._package[name].final_target
            parts += self._function(found) if found.is_function else self._value(found)
        parts.append("## What comes back, and is not imported")
        for found in self._besides:  # it grows: to tell of one may be to name another
            parts += self._value(found)
        return "\n\n".join(part.strip() for part in parts if part) + "\n"

    def _class(self, name: str) -> griffe.Class:
        return self._package[name].final_target

    def _client(self, name: str) -> Iterator[str]:
        made, twin = self._class(name), self._class(f"Async{name}")
        yield f"### {name}"
        yield from self._docstring(made)
        for uses, member in (("with", "__enter__"), ("for", "__iter__")):
            if member in made.members:
                yield f"`{uses}` and `async {uses}` take it."
        yield self._fields(made)
        if name == "Isola":
            yield from self._function(made.functions["__init__"], called=name)
        for each in _public(made, griffe.Function):
            yield from self._function(each, how=_called(twin.members[each.name]))

    def _value(self, value: griffe.Class) -> Iterator[str]:
        yield f"### {value.name}"
        yield from self._docstring(value)
        yield self._fields(value)
        for each in _public(value, griffe.Function):
            yield from self._function(each)

    def _fields(self, of: griffe.Class) -> str:
        """Return attributes and properties, those of its bases first."""
        lines: list[str] = []
        for kind in (*reversed(of.mro()), of):
            said = _said(kind)
            for each in _public(kind, griffe.Attribute):
                text = said.get(each.name) or (each.docstring.value if each.docstring else "")
                if kind.name.endswith("Error") and kind is not of:
                    continue  # the tree shows the base
                if not (text or each.annotation or "class-attribute" in each.labels):
                    continue  # a base has told of it
                told = f": {self._spelt(each.annotation)}" if each.annotation is not None else ""
                if each.value is not None and "class-attribute" in each.labels:
                    told += f" = {each.value}"
                lines.append(f"- `{each.name}{told}` {_paragraph(text)}".rstrip())
        return "\n".join(lines)

    def _function(
        self, function: griffe.Function, *, called: str = "", how: str = ""
    ) -> Iterator[str]:
        name = called or function.name
        owner = function.parent
        path = f"{owner.name}.{name}" if isinstance(owner, griffe.Class) and not called else name
        block = any(str(each.value) == "contextmanager" for each in function.decorators)
        how = "with" if block else how
        yield f"#### {path}" + (f" · `{how}`" if how else "")
        arguments = list(self._arguments(function.parameters))
        returns = ""
        if function.returns is not None and not block and not called:
            returns = f" -> {self._spelt(function.returns)}"
        line = f"{name}({', '.join(arguments)}){returns}"
        if len(line) > WIDTH:
            line = f"{name}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){returns}"
        yield f"```python\n{line}\n```"
        yield from self._docstring(function)

    def _arguments(self, parameters: Iterable[griffe.Parameter]) -> Iterator[str]:
        named = False
        for each in parameters:
            if each.name == "self":
                continue
            star = "*" if each.kind is griffe.ParameterKind.var_positional else ""
            if each.kind is griffe.ParameterKind.keyword_only and not named:
                yield "*"
            named |= bool(star) or each.kind is griffe.ParameterKind.keyword_only
            told = f": {self._spelt(each.annotation)}" if each.annotation is not None else ""
            default = f" = {each.default}" if each.default is not None and not star else ""
            yield f"{star}{each.name}{told}{default}"

    def _spelt(self, annotation: str | griffe.Expr) -> str:
        """Return an annotation; what nobody can import by its name is written out, or told of."""
        if isinstance(annotation, str):
            return annotation
        return "".join(self._name(each) for each in annotation.iterate())

    def _name(self, part: str | griffe.Expr) -> str:
        if not isinstance(part, griffe.ExprName) or part.name in self._public:
            return str(part)
        root, _, path = part.canonical_path.partition(".")
        if root != self._package.name:
            return str(part)
        found = self._package[path]
        if isinstance(found, griffe.Class) and found not in self._besides:
            self._besides.append(found)
        if isinstance(found, griffe.Attribute):
            return re.sub("[\"']", "", str(found.value))
        return str(part)

    def _docstring(self, of: griffe.Object) -> Iterator[str]:
        for section in of.docstring.parsed if of.docstring else ():
            match section:
                case griffe.DocstringSectionText():
                    yield section.value
                case griffe.DocstringSectionParameters():
                    yield "\n".join(
                        f"- `{each.name}`: {_paragraph(each.description)}" for each in section.value
                    )
                case griffe.DocstringSectionRaises():
                    yield "Raises:\n\n" + "\n".join(
                        f"- `{each.annotation}`: {_paragraph(each.description)}"
                        for each in section.value
                    )
                case _:
                    pass  # attributes: with their types


def _public(of: griffe.Class, kind: type[T]) -> Iterator[T]:
    for name, each in of.members.items():
        if isinstance(each, kind) and not name.startswith("_") and name != "model_config":
            yield each


def _said(of: griffe.Class) -> dict[str, str]:
    """Return what a class's docstring says of its attributes."""
    sections = of.docstring.parsed if of.docstring else ()
    return {
        each.name: each.description
        for section in sections
        if isinstance(section, griffe.DocstringSectionAttributes)
        for each in section.value
    }


def _called(twin: griffe.Object | griffe.Alias) -> str:
    """Return what stands before a call of the asynchronous client's."""
    function = cast("griffe.Function", twin)
    if str(function.returns).startswith("AsyncGenerator"):
        return "async for"
    return "await" if "async" in function.labels else ""


def _paragraph(text: str) -> str:
    return " ".join(text.split())


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    check = parser.parse_args().check
    package = griffe.load("isola_sdk", search_paths=[FOLDER], docstring_parser="google")
    text = Reference(cast("griffe.Module", package)).page()
    if not check:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.stderr.write(f"{TARGET.name} is not current: run python3 hack/sdk_reference.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
