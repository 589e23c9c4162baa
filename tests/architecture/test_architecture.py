"""The shape of the folders is the shape of the program."""

from __future__ import annotations

import tomllib

import grimp
import pytest

from support.toolchain import ROOT

KERNEL_MAY_IMPORT = {
    "__future__",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",  # the chain of digests
    "ipaddress",
    "json",  # its canonical form
    "re",
    "typing",
}


def test_the_kernel_imports_only_pure_modules_of_the_standard_library() -> None:
    graph = grimp.build_graph("isola_lifecycle", include_external_packages=True)
    kernel = {module for module in graph.modules if module.split(".")[0] == "isola_lifecycle"}
    imported = {
        name for module in kernel for name in graph.find_modules_directly_imported_by(module)
    }
    assert {name.split(".")[0] for name in imported - kernel} <= KERNEL_MAY_IMPORT


def test_the_distribution_owns_only_names_with_our_prefix() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert all(package.split("/")[1].startswith("isola_") for package in packages)
    assert all((ROOT / package / "__init__.py").is_file() for package in packages)


@pytest.mark.parametrize(
    "folder", ["api", "controlplane", "dataplane", "snapshots", "chart", "hack", "tests"]
)
def test_every_room_says_what_it_is_for_in_a_page(folder: str) -> None:
    lines = (ROOT / folder / "README.md").read_text().splitlines()
    assert 5 <= len(lines) <= 80
