#!/bin/sh
# Install the NBD programs that tests and benchmarks run against: nbdinfo, nbdcopy, nbdsh, fio, qemu-img, nbdkit.
#
# Debian and Ubuntu, as root; elsewhere, and when it fails, tests that need them are skipped with the
# reason, unless RAMSTER_REQUIRE_NBD_CLIENTS=1: then this fails as well. Says nothing when all are there.
set -u

missing=""
have() { command -v "$1" >/dev/null 2>&1; }
have nbdinfo && have nbdcopy || missing="$missing libnbd-bin"
# nbdsh runs in the distribution's own Python.
/usr/bin/python3 -c 'import nbd' 2>/dev/null || missing="$missing python3-libnbd"
have fio || missing="$missing fio"
have qemu-img || missing="$missing qemu-utils"
have nbdkit || missing="$missing nbdkit"
[ -z "$missing" ] && exit 0

give_up() {
    echo "NBD clients: $1; tests that need$missing are skipped" >&2
    [ "${RAMSTER_REQUIRE_NBD_CLIENTS:-0}" = 1 ] && exit 1
    exit 0
}

have apt-get || give_up "no apt-get here"
[ "$(id -u)" = 0 ] || give_up "not root"
echo "NBD clients: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    give_up "apt-get failed"
}
