#!/usr/bin/env bash
# usage: eval "$(hack/env.sh)"
#
# Prints what a shell, or a test, needs to know of the cluster that hack/setup.sh made.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ -f "$kubeconfig" ] || fail "there is no cluster '$cluster'; 'make up' makes it"
cat <<EOF
export PATH=$cache/bin:\$PATH
export KUBECONFIG=$kubeconfig
export ISOLA_URL=http://localhost:$port
export ISOLA_IMAGES=$images
EOF
