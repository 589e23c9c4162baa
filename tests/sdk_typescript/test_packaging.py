"""What is packed installs into an empty project, works there, and keeps no more than is used."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

from sdk_typescript.tools import SDK, packed, run, tool
from support.toolchain import ROOT

MANIFEST = json.loads((SDK / "package.json").read_text())
NAMES = (
    "JSON.stringify([Object.keys(sdk).sort(), sdk.VERSION, "
    "typeof new sdk.Isola({ url: 'http://h' }).sandboxes])"
)


def test_publint_and_attw_find_nothing(tmp_path: Path) -> None:
    run(tool("publint"), "run", packed(), "--strict", cwd=tmp_path)
    run(tool("attw"), packed(), cwd=tmp_path)


def test_it_is_imported_and_required(project: Path) -> None:
    imported = f"import * as sdk from '@isola/sdk'; console.log({NAMES})"
    required = f"const sdk = require('@isola/sdk'); console.log({NAMES})"
    found = run("node", "--input-type=module", "-e", imported, cwd=project)
    assert found == run("node", "--input-type=commonjs", "-e", required, cwd=project)
    names, version, client = json.loads(found)
    assert {"Isola", "verifyHistory", "StreamLostError"} <= set(names)
    assert (version, client) == (MANIFEST["version"], "object")


def test_it_needs_nothing_else_and_no_module_of_a_platform() -> None:
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & set(MANIFEST)
    imported = {
        name
        for source in SDK.rglob("src/**/*.ts")
        for name in re.findall(r'(?:from|import|require)\s*\(?\s*"([^"]+)"', source.read_text())
    }
    assert imported
    assert all(name.startswith(("./", "../")) for name in imported)


def test_the_archive_holds_what_was_built_and_nothing_else() -> None:
    with tarfile.open(packed()) as archive:
        files = {name.removeprefix("package/") for name in archive.getnames()}
    sources = {str(each.relative_to(SDK / "src"))[:-3] for each in SDK.rglob("src/**/*.ts")}
    built = {
        f"dist/{kind}/{source}{end}"
        for kind in ("esm", "cjs")
        for source in sources
        for end in (".js", ".d.ts")
    }
    assert files == built | {"package.json", "README.md", "LICENSE", "dist/cjs/package.json"}


def test_what_is_not_used_is_left_out_of_a_bundle(project: Path) -> None:
    sizes: list[int] = []
    for number, names in enumerate(("verifyHistory", "Isola, verifyHistory")):
        entry = project / f"bundle{number}.js"
        entry.write_text(f'export {{ {names} }} from "@isola/sdk";')
        bundle = f"--outfile=bundled{number}.js"
        run(tool("bun"), "build", "--minify", entry.name, bundle, cwd=project)
        sizes.append((project / f"bundled{number}.js").stat().st_size)
    assert sizes[0] * 8 < sizes[1] < 40_000


def test_the_types_promise_what_they_say(project: Path, tmp_path: Path) -> None:
    # All of them hold: the project's own compilation would have failed. And they can fail.
    text = (project / "types.ts").read_text()
    assert text.count("// @ts-expect-error") >= 8
    (project / "wrong.ts").write_text(text.replace("// @ts-expect-error", "//"))
    settings = json.loads((project / "tsconfig.json").read_text()) | {"include": ["wrong.ts"]}
    (project / "tsconfig.wrong.json").write_text(json.dumps(settings))
    try:
        with pytest.raises(AssertionError, match="error TS") as raised:
            run(tool("tsc"), "-p", "tsconfig.wrong.json", "--outDir", tmp_path, cwd=project)
    finally:
        (project / "wrong.ts").unlink()
    lines = re.findall(r"wrong\.ts\((\d+),", str(raised.value))
    assert len(set(lines)) == text.count("// @ts-expect-error")


def test_the_reference_is_of_this_source() -> None:
    run(ROOT / "hack" / "sdk_typescript_reference.sh", "--check", cwd=ROOT)
