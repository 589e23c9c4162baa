#!/usr/bin/env bash
# usage: hack/sdk_typescript.sh
#
# Builds the TypeScript client, ESM and CommonJS, packs it as `npm publish` would, and prints the archive's path. Nothing is
# built twice.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

source=api/sdk/typescript
tools=$("$root/hack/npm.sh" sdk-typescript)
into=$cache/sdk-typescript-$(digest_files "$source/src" "$source/package.json" "$source/tsconfig.json" "$source/README.md" \
  LICENSE hack/npm/sdk-typescript/package.json hack/sdk_typescript.sh)

build() {
  cp -R "$root/$source/src" "$root/$source"/*.json "$root/$source/README.md" "$root/LICENSE" "$scratch/"
  cd "$scratch"
  "$tools/node_modules/.bin/tsc" -p . --outDir dist/esm
  # The same once more: what a file is goes by the nearest package.json.
  sed -i.esm 's/"type": "module"/"type": "commonjs"/' package.json
  "$tools/node_modules/.bin/tsc" -p . --outDir dist/cjs --verbatimModuleSyntax false
  mv package.json.esm package.json
  echo '{ "type": "commonjs" }' >dist/cjs/package.json
  npm pack --ignore-scripts --silent
}

if ! [ -d "$into" ]; then
  locked sdk-typescript
  scratch
  [ -d "$into" ] || step 'building the TypeScript client' build
  [ -d "$into" ] || mv "$scratch" "$into"
fi
echo "$into"/*.tgz
