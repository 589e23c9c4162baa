#!/usr/bin/env bash
# usage: hack/npm.sh NAME
#
# Installs the npm packages that hack/npm/NAME locks, and prints the directory that holds their node_modules. Nothing is
# installed twice, and no package's own script runs.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

name=${1:?usage: hack/npm.sh NAME}
source=$root/hack/npm/$name
[ -f "$source/package-lock.json" ] || fail "there is no hack/npm/$name"

into=$cache/npm/$name-$(cat "$source/package.json" "$source/package-lock.json" | digest)
if ! [ -d "$into" ]; then
  have npm || fail "npm is needed to install $name: https://nodejs.org"
  locked npm
  scratch
  cp "$source"/package*.json "$scratch/"
  [ -d "$into" ] || step "installing $name" npm ci --prefix "$scratch" --omit=dev --ignore-scripts --no-audit --no-fund
  mkdir -p "$cache/npm"
  [ -d "$into" ] || mv "$scratch" "$into"
fi
echo "$into"
