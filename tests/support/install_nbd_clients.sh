#!/bin/sh
# Install the programs that tests and benchmarks run against: nbdinfo, nbdcopy, nbdsh, fio, qemu-img, qemu-nbd,
# nbdkit, redis-server, memcached. None of them is left running: tests start their own.
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
have qemu-img && have qemu-nbd || missing="$missing qemu-utils"
have nbdkit || missing="$missing nbdkit"
have redis-server || missing="$missing redis-server"
have memcached || missing="$missing memcached"
[ -z "$missing" ] && exit 0

give_up() {
    echo "Programs for tests: $1; tests that need$missing are skipped" >&2
    [ "${RAMSTER_REQUIRE_NBD_CLIENTS:-0}" = 1 ] && exit 1
    exit 0
}

have apt-get || give_up "no apt-get here"
[ "$(id -u)" = 0 ] || give_up "not root"
echo "Programs for tests: installing$missing"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive

# Debian starts the services of redis-server and memcached when it installs them, now and at boot, unless
# policy-rc.d says no and they are disabled. A machine that has a policy keeps its own.
policy=/usr/sbin/policy-rc.d
ours=no
# Whatever ends this, apt may have installed some of it already.
end() {
    for service in $missing; do
        case $service in
        redis-server | memcached) systemctl disable --now "$service" >/dev/null 2>&1 || true ;;
        esac
    done
    rm -f "$log"
    [ "$ours" = no ] || rm -f "$policy"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
{ apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    give_up "apt-get failed"
}
