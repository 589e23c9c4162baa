#!/usr/bin/env bash
# usage: hack/down.sh
#
# Removes the cluster, and the Docker daemon if hack/setup.sh had to start it. What took long to build stays in the
# cache ('make clean-cache' removes that too).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$root/hack/cluster.sh" down
"$root/hack/host.sh" stop
rm -f "$images"
