#!/usr/bin/env bash
# usage: hack/dev.sh [--once]
#
# Watches our source and the chart. Whatever changes is in the cluster seconds later: the last layer of the images that
# hold it is built, sent to the nodes, and the chart upgraded, which restarts the components that have a new image and
# no other. It is what `make up` does, for what changed. --once: what changed since the last time, without watching.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

watched='api controlplane dataplane snapshots chart pyproject.toml uv.lock hack/images'

# shellcheck disable=SC2086 # a list of paths
listing() { (cd "$root" && find $watched -name __pycache__ -prune -o -type f ! -name '.*' ! -name '*~' -print) | LC_ALL=C sort; }

# Files that are younger than the stamp, new or gone.
# shellcheck disable=SC2086
changed() {
  (cd "$root" && find $watched -name __pycache__ -prune -o -type f ! -name '.*' ! -name '*~' -newer "$scratch/seen" -print)
  listing >"$scratch/names.new"
  diff "$scratch/names" "$scratch/names.new" | sed -n 's/^[<>] //p' || true
}

roll() {
  "$root/hack/images.sh" >"$images.new"
  diff "$images" "$images.new" | sed -n 's/^> \([^=]*\)=.*/\1/p' >"$scratch/rolled" || true
  mv "$images.new" "$images"
  "$root/hack/install.sh"
}

# A mistake that the image's build finds, or a chart that is refused, is told, and the next change is waited for.
again() {
  local began=$SECONDS
  if (roll); then
    say "$(printf '%4d s  in the cluster: %s' $((SECONDS - began)) "$(tr '\n' ' ' <"$scratch/rolled" | grep . || echo 'the chart')")"
  else
    say "       the cluster has what it had; waiting for the next change"
  fi
}

[ -f "$images" ] || fail "there is no cluster '$cluster'; 'make up' makes it"
scratch
touch "$scratch/seen"
listing >"$scratch/names"
again
[ "${1:-}" != --once ] || exit 0
say "    watching $watched (Ctrl-C ends it; what is in the cluster stays)"
while sleep 0.3; do
  touch "$scratch/seen.new" # before the look: what is saved meanwhile is seen at the next one
  files=$(changed | sort -u)
  [ -n "$files" ] || continue
  mv "$scratch/seen.new" "$scratch/seen"
  mv "$scratch/names.new" "$scratch/names"
  say "    changed: $(tr '\n' ' ' <<<"$files")"
  again
done
