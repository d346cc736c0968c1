#!/bin/sh
# Install the browser that the status page's tests drive: Chromium, its driver, and a font.
#
# Debian, as root; elsewhere, and when it fails, tests that need them are skipped with the reason, unless
# RAMSTER_REQUIRE_BROWSER=1: then this fails as well. Says nothing when all are there.
set -u

missing=""
have() { command -v "$1" >/dev/null 2>&1; }
have chromium || missing="$missing chromium fonts-dejavu-core"
have chromedriver || missing="$missing chromium-driver"
[ -z "$missing" ] && exit 0

give_up() {
    echo "browser: $1; tests that need$missing are skipped" >&2
    [ "${RAMSTER_REQUIRE_BROWSER:-0}" = 1 ] && exit 1
    exit 0
}

have apt-get || give_up "no apt-get here"
[ "$(id -u)" = 0 ] || give_up "not root"
# On Ubuntu the package is a wrapper for a snap, which is no program that can be run here.
grep -qs '^ID=debian' /etc/os-release || give_up "not Debian"
echo "browser: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    give_up "apt-get failed"
}
