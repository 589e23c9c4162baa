#!/usr/bin/env bash
# usage: hack/browser.sh
#
# Makes sure of a Chromium for the tests of pages, and prints its path. As root on a Debian of any sort it is installed;
# elsewhere it tells what to install.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

install_chromium() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
}

if ! browser >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! have apt-get; then
    fail 'please install Chromium or Chrome first: https://www.chromium.org/getting-involved/download-chromium/'
  fi
  locked browser
  browser >/dev/null || step 'installing Chromium' install_chromium
fi
browser
