# Sourced by the scripts beside it: where things are, and how progress is told.
# Written for bash 3.2 too, the one that macOS ships: no associative arrays, no mapfile.
# shellcheck shell=bash disable=SC2034 # what stands here is used there
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${ISOLA_CACHE:-$HOME/.cache/isola}
cluster=${CLUSTER_NAME:-isola}
port=${ISOLA_PORT:-8080}
registry=isola.local # the name before every image that is made here; nothing answers to it
kubeconfig=$cache/kubeconfig-$cluster
logs=$cache/log
node_gvisor=${NODE_GVISOR:-true} # whether the node image brings gVisor
release_namespace=isola-system
sandbox_namespace=isola-sandboxes
images=$cache/images-$cluster # lines NAME=IMAGE: what the cluster runs
store=$cache/images # hack/oci.py's: every image that is made here, as it is delivered

# No file in an image is younger than this, nor the image itself; a release sets the time of its commit.
epoch=${SOURCE_DATE_EPOCH:-1767225600} # 2026-01-01

mkdir -p "$cache" "$logs"

# Machines with a container runtime below the scripts are Linux; only the programs a person calls run on macOS.
host_os=$(uname -s | tr '[:upper:]' '[:lower:]')
case $(uname -m) in
  x86_64 | amd64) arch=amd64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac

# Only a Debian makes Debian images without more ado (keys, mirrors); elsewhere images are pulled.
debian_host() { grep -qx 'ID=debian' /etc/os-release 2>/dev/null; }

have() { command -v "$1" >/dev/null 2>&1; }

# Progress goes to stderr, so that stdout stays for results; or to the file ISOLA_PROGRESS, for a caller whose test runner
# swallows stderr.
say() {
  if [ -n "${ISOLA_PROGRESS:-}" ]; then printf '%s\n' "$*" >>"$ISOLA_PROGRESS"; else printf '%s\n' "$*" >&2; fi
}
fail() {
  say "error: $*"
  exit 1
}

# step WHAT COMMAND...: run COMMAND, telling how long it takes; its output is shown only if it fails.
# COMMAND runs in this shell and not in a condition, where bash would ignore its failing lines.
step() {
  step_what=$1
  local began=$SECONDS
  shift
  step_log=$logs/$(basename "$0").$$.log
  say "    $step_what ..."
  heartbeat "$step_what" &
  step_heartbeat=$!
  "$@" >"$step_log" 2>&1
  end_heartbeat
  rm -f "$step_log"
  say "$(printf '%4d s  %s' $((SECONDS - began)) "$step_what")"
  step_what=
}

# A run that is stuck tells where. Sleep outlives this loop when it is ended, so it may hold neither our streams, or their
# reader would wait for it, nor the lock.
heartbeat() {
  local began=$SECONDS
  while sleep 60 >/dev/null 2>&1 8>&- 9>&- && kill -0 $$ 2>/dev/null; do
    say "         still $1 ($((SECONDS - began)) s)"
  done
}

end_heartbeat() {
  [ -n "${step_heartbeat:-}" ] || return 0
  { kill "$step_heartbeat" && wait "$step_heartbeat"; } >/dev/null 2>&1 || true
  step_heartbeat=
}

at_exit() {
  local status=$?
  exec 2>&8
  end_heartbeat
  [ -z "${companion:-}" ] || kill "$companion" 2>/dev/null || true # what a script does at the side ends with it
  [ -z "${scratch:-}" ] || rm -rf "$scratch"
  if [ $status -ne 0 ] && [ -n "${step_what:-}" ]; then
    say "FAILED: $step_what. The end of its output ($step_log):"
    say "$(tail -n 40 "$step_log" || true)"
    [ -z "${explain:-}" ] || "$explain" >&2 || true # a script's own look at what went wrong
  fi
}
# A step that fails may leave with its output still going to its log; the terminal is kept as 8 for the last word.
exec 8>&2
trap at_exit EXIT

# The name of a directory that goes when the script ends, however it ends. One file system with the cache, so that
# a finished piece moves into place by a rename: an interrupted run leaves nothing half-made behind.
scratch() {
  find "$cache" -maxdepth 1 -name 'tmp.*' -mmin +600 -exec rm -rf {} + # of runs that were killed
  [ -n "${scratch:-}" ] || scratch=$(mktemp -d "$cache/tmp.XXXXXX")
}

# digest: twelve digits that name what comes in.
digest() { if have sha256sum; then sha256sum; else shasum -a 256; fi | cut -c1-12; }

# digest_files PATH...: likewise for files and folders, by name and content; what Python leaves behind does not count.
digest_files() {
  (
    cd "$root"
    find "$@" -type f ! -name '*.pyc' | LC_ALL=C sort | if have sha256sum; then xargs sha256sum; else xargs shasum -a 256; fi
  ) | digest
}

# locked NAME: from here to the end of the script no other one holds NAME. Without flock (macOS) two runs at once do the
# same work twice and the later rename wins, which is harmless.
locked() {
  have flock || return 0
  exec 9>"$cache/$1.lock"
  flock -n 9 && return
  say "    waiting for another run that holds $cache/$1.lock ..."
  flock 9
}

# The version of a module that hack/gomod/DIRECTORY pins. Without asking go, which a warm run should not need.
pinned() { # DIRECTORY MODULE
  awk -v module="$2" '$1 == "require" {$1 = $2; $2 = $3} $1 == module {print $2; exit}' "$root/hack/gomod/$1/go.mod"
}

uv() { "$root/hack/uv" "$@"; }
kubectl() { "$cache/bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }
kind() { "$cache/bin/kind" "$@"; }
helm() { "$cache/bin/helm" --kubeconfig "$kubeconfig" "$@"; }
nodes() { docker ps -a --filter "label=io.x-k8s.kind.cluster=$cluster" --format '{{.Names}}' | sort; }
