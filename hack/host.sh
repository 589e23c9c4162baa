#!/usr/bin/env bash
# usage: hack/host.sh start | stop
#
# start: makes this machine able to run the cluster. As root on a Debian of any sort it installs what is missing and
# starts Docker; elsewhere it tells what to install. stop: ends the Docker daemon that start began, and no other.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

daemon=$cache/docker # its configuration, log and pid

can_install() { [ "$(id -u)" = 0 ] && have apt-get && [ "$host_os" = linux ]; }

# Packages that are not there yet, of those a machine without Docker and without a registry needs.
missing_packages() {
  local package packages='curl ca-certificates jq'
  ! debian_host || packages="$packages gcc libc6-dev mmdebstrap"
  have dockerd || docker info >/dev/null 2>&1 || packages="$packages docker.io iptables"
  have uv || python3 -c 'import ensurepip' 2>/dev/null || packages="$packages python3-venv"
  for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

install_packages() {
  apt-get update -qq
  # shellcheck disable=SC2046
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(missing_packages)
}

tell_what_is_missing() {
  local missing=
  have docker || missing="$missing
  docker   https://docs.docker.com/get-docker/"
  have go || missing="$missing
  go       https://go.dev/doc/install (any since 1.21 fetches the one it needs)"
  have python3 || missing="$missing
  python3  https://www.python.org/downloads/ (3.11 or newer)"
  have curl || missing="$missing
  curl     https://curl.se/download.html"
  [ -z "$missing" ] || fail "please install first:$missing"
  docker info >/dev/null 2>&1 || fail "Docker is installed, but no daemon answers to you: start Docker Desktop, or
  'sudo systemctl start docker', and see that you may use it (the group 'docker')"
}

has_capability() { # NUMBER, of linux/capability.h
  (((0x$(awk '/^CapBnd/ {print $2}' /proc/self/status) >> $1) & 1))
}

start_docker() {
  mkdir -p "$daemon"
  # A root without CAP_SYS_RESOURCE cannot hand it on, and Docker's --privileged asks for every capability there is. So
  # the daemon is given a runc that leaves this one out. Its own configuration file, because a flag that stands in
  # /etc/docker/daemon.json as well keeps the daemon from starting.
  if has_capability 24; then
    echo '{}' >"$daemon/daemon.json"
  else
    install -m 755 "$root/hack/runc-without-sys-resource" "$daemon/"
    printf '{"runtimes": {"lesser": {"path": "%s"}}, "default-runtime": "lesser"}\n' \
      "$daemon/runc-without-sys-resource" >"$daemon/daemon.json"
  fi
  # A daemon that was killed leaves its pid behind, and the next one refuses to start if any process has that number.
  local pidfile=/var/run/docker.pid
  if [ -f $pidfile ] && ! is_dockerd "$(cat $pidfile)"; then rm -f $pidfile; fi
  # A session of its own: Ctrl-C in this terminal is not meant for it.
  setsid dockerd --config-file "$daemon/daemon.json" >"$daemon/log" 2>&1 </dev/null 8>&- 9>&- &
  echo $! >"$daemon/pid"
  local pid=$!
  sleep 0.2 # until it is itself: before, the number is this shell's
  until docker info >/dev/null 2>&1; do
    is_dockerd "$pid" || { tail -n 20 "$daemon/log" && return 1; }
    sleep 0.2
  done
}

# By its program: a number may be another's by now, and a process that ended keeps its name until its parent looks.
is_dockerd() { [ "$(basename "$(readlink "/proc/$1/exe")")" = dockerd ]; }

has_systemd() { [ -d /run/systemd/system ]; }

start() {
  if can_install; then
    [ -z "$(missing_packages)" ] || step "installing $(missing_packages | tr '\n' ' ')" install_packages
    have go || fail 'Go is missing, and Debian has none new enough: https://go.dev/doc/install'
    docker info >/dev/null 2>&1 && return
    if has_systemd; then
      step 'starting Docker' systemctl start docker
    else
      step 'starting Docker' start_docker
    fi
  else
    tell_what_is_missing
  fi
}

stop() {
  local pid running
  [ -f "$daemon/pid" ] || return 0
  pid=$(cat "$daemon/pid")
  if is_dockerd "$pid"; then
    running=$(docker ps -q | wc -l)
    if [ "$running" -gt 0 ]; then
      say "    Docker (pid $pid) was started by hack/host.sh, but $running containers of yours run in it: left alone"
      return 0
    fi
    step 'stopping Docker' end_docker "$pid"
  fi
  rm -f "$daemon/pid"
}

end_docker() { # PID
  kill "$1"
  local tries=150
  while is_dockerd "$1"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.2
  done
}

case ${1:-} in
  start | stop) "$1" ;;
  *) fail 'usage: hack/host.sh start | stop' ;;
esac
