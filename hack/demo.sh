#!/usr/bin/env bash
# usage: hack/demo.sh
#
# Creates a sandbox over REST, shows a command's output as it arrives, and the sandbox's history as kubectl tells it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

url=http://localhost:$port/v1/sandboxes
request() { # METHOD URL [JSON]
  curl -sS --fail-with-body --max-time 30 -X "$1" "$2" ${3:+-H 'Content-Type: application/json' -d "$3"}
}
field() { sed -n "s/.*\"$1\": *\"*\([^\",}]*\).*/\1/p" | head -n 1; }
shown() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
[ -t 1 ] || shown() { printf '\n$ %s\n' "$*"; }

image=$(sed -n 's/^sandbox-python=//p' "$images")

body="{\"podTemplate\": {\"containers\": [{\"image\": \"$image\"}]}, \"timeoutSeconds\": 3600}"
shown "curl -X POST $url -d '$body'"
id=$(request POST "$url" "$body" | field id)
echo "sandbox $id"
tries=300
until [ "$(request GET "$url/$id" | field status)" = Running ]; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || { request GET "$url/$id" && fail "sandbox $id does not run"; }
  sleep 0.1
done

# shellcheck disable=SC2016 # the sandbox's shell expands it
script='for i in 1 2 3 4 5; do echo "line $i of 5, from kernel $(uname -r)"; sleep 0.6; done'
shown "curl -X POST $url/$id/commands -d '{\"args\": [\"sh\", \"-c\", \"for i in ...; do echo ...; sleep 0.6; done\"]}'"
command=$(request POST "$url/$id/commands" "{\"args\": [\"sh\", \"-c\", \"${script//\"/\\\"}\"]}" | field id)
echo "command $command"
shown "curl -N $url/$id/commands/$command/stdout"
curl -sSN --max-time 60 "$url/$id/commands/$command/stdout" | while IFS= read -r line; do
  case $line in 'data: '?*) echo "$(date +%T)  ${line#data: }" ;; esac
done
echo "exit code $(request GET "$url/$id/commands/$command/status?waitSeconds=5" | field exitCode)"

shown "kubectl -n $sandbox_namespace get sandboxes"
kubectl -n "$sandbox_namespace" get sandboxes
shown "kubectl -n $sandbox_namespace get sandbox $id    (status.conditions, oldest first)"
kubectl -n "$sandbox_namespace" get sandbox "$id" -o jsonpath='{range .status.conditions[*]}{.sequence}{"\t"}{.lastTransitionTime}{"\t"}{.type}={.status}{"\t"}{.reason}{"\t"}{.actor}{"\t"}{.message}{"\n"}{end}' |
  sort -n | while IFS=$(printf '\t') read -r sequence at condition reason actor message; do
  printf '%-3s %-28s %-26s %-22s %-10s %s\n' "$sequence" "$at" "$condition" "$reason" "$actor" "$message"
done

cat <<EOF

Isola is up at http://localhost:$port. To go on:
  eval "\$(hack/env.sh)"                                  # kubectl, helm and kind on the PATH, and ISOLA_URL
  kubectl -n $sandbox_namespace describe sandbox $id
  curl -X DELETE $url/$id
  pip install isola-run                                 # the Python client; it reads ISOLA_URL
  make down
EOF
