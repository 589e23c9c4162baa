#!/usr/bin/env bash
# usage: hack/sdk_typescript_reference.sh [--check]
#
# Writes api/sdk/typescript/reference.md from the source's types and comments; with --check fails where it says something else.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

source=$root/api/sdk/typescript
tools=$("$root/hack/npm.sh" sdk-typescript-reference)
scratch
cp -R "$source/src" "$source"/*.json "$scratch/"
ln -s "$tools/node_modules" "$scratch/node_modules" # typedoc looks for its plugins there
"$tools/node_modules/.bin/typedoc" --options "$scratch/typedoc.json" --tsconfig "$scratch/tsconfig.json" --out "$scratch/out" \
  --logLevel Warn --treatWarningsAsErrors

written=$scratch/out/README.md
if [ "${1:-}" = --check ]; then
  diff -u "$source/reference.md" "$written" || fail "api/sdk/typescript/reference.md is not of this source: run hack/sdk_typescript_reference.sh"
else
  cp "$written" "$source/reference.md"
fi
