#!/usr/bin/env bash
# Build the image of a node, on a base image that this machine can get.
#
#   deploy/build-image.sh [TAG]          TAG defaults to ramster:dev
#
# The base is $BASE_IMAGE if set; else the Dockerfile's default if it is here or can be pulled; else, where this is
# root on a machine that reaches Debian's packages, a minimal Debian made by debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-ramster:dev}
public=$(sed -n 's/^ARG BASE_IMAGE=//p' deploy/Dockerfile)
fallback=ramster-base:bookworm

say() { printf 'build-image: %s\n' "$*" >&2; }
have() { docker image inspect "$1" >/dev/null 2>&1; }

bootstrap() {
    [ "$(id -u)" = 0 ] || { say "cannot pull $public, and only root can make a base image; set BASE_IMAGE"; exit 1; }
    if ! command -v debootstrap >/dev/null; then
        say "installing debootstrap"
        { apt-get update && apt-get install -y --no-install-recommends debootstrap; } >/dev/null 2>&1 ||
            { say "cannot pull $public, and cannot install debootstrap; set BASE_IMAGE"; exit 1; }
    fi
    say "cannot pull $public: making $fallback with debootstrap (under a minute)"
    local root
    root=$(mktemp -d)
    # shellcheck disable=SC2064  # expanded now on purpose
    trap "rm -rf --one-file-system '$root'" EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" \
        >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; rm -f "$root.log"; exit 1; }
    rm -f "$root.log"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    tar -C "$root" -c . | docker import - "$fallback" >/dev/null
}

if [ -n "${BASE_IMAGE:-}" ]; then
    base=$BASE_IMAGE
elif have "$public" || docker pull --quiet "$public" >/dev/null 2>&1; then
    base=$public
else
    have "$fallback" || bootstrap
    base=$fallback
fi

certificate=${PIP_CERT:-${SSL_CERT_FILE:-}}
if [ -n "$certificate" ] && [ -r "$certificate" ]; then
    cmp -s "$certificate" deploy/certs/host.crt || cp "$certificate" deploy/certs/host.crt
fi

say "building $tag on $base"
# The classic builder is enough and is there everywhere; buildx, where it is, is used by itself.
if ! log=$(docker build --file deploy/Dockerfile --build-arg "BASE_IMAGE=$base" --tag "$tag" . 2>&1); then
    printf '%s\n' "$log" | tail -n 40 >&2
    exit 1
fi
say "built $tag ($(docker image inspect --format '{{.Size}}' "$tag" | awk '{printf "%d MB", $1 / 1000000}'))"
