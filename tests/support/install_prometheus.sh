#!/bin/sh
# Install Prometheus and promtool, which check the metrics, the rules and the alerts; no service is started.
#
# Debian and Ubuntu, as root; elsewhere, and when it fails, tests that need them are skipped with the
# reason, unless RAMSTER_REQUIRE_PROMETHEUS=1: then this fails as well. Says nothing when both are there.
set -u

have() { command -v "$1" >/dev/null 2>&1; }
have promtool && have prometheus && exit 0

give_up() {
    echo "Prometheus: $1; tests that need it are skipped" >&2
    [ "${RAMSTER_REQUIRE_PROMETHEUS:-0}" = 1 ] && exit 1
    exit 0
}

have apt-get || give_up "no apt-get here"
[ "$(id -u)" = 0 ] || give_up "not root"
echo "Prometheus: installing prometheus"
log=$(mktemp)
# Debian's packages start their services unless this program forbids it. One that is there already stays.
policy=/usr/sbin/policy-rc.d
ours=no
# Whatever ends this, apt may have installed it already. Nor at the next boot; a service that was there
# before is its owner's affair.
was_there=$(have systemctl && systemctl cat prometheus >/dev/null 2>&1 && echo yes)
end() {
    if [ "$was_there" != yes ] && have systemctl; then
        systemctl disable --now prometheus >/dev/null 2>&1 || true
    fi
    rm -f "$log"
    [ "$ours" = no ] || rm -f "$policy"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends prometheus; } >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    give_up "apt-get failed"
}
