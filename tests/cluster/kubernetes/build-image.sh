#!/usr/bin/env bash
# The image of envs/Dockerfile (CPU) without docker: a root filesystem from Debian, an environment in it, an OCI archive.
#
#   build-image.sh PYTHON ARCHIVE TAG
#
# PYTHON: of an environment of this repository, 3.11; its pip fetches the wheels. 3 to 5 minutes the first time, then seconds: the
# base and the environment are cached outside the repository; only the library's own layer is made anew.
set -euo pipefail

PYTHON="$1" ARCHIVE="$2" TAG="$3"
HERE="$(cd "$(dirname "$0")" && pwd)"
ROOT="$(cd "$HERE/../../.." && pwd)"
CACHE="${CONNECTOMAKE_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/connectomake/kubernetes}/image"
DEBIAN="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
mkdir -p "$CACHE"
exec 9> "$CACHE/lock"
flock 9
rm -rf "$CACHE"/work.*
WORK="$(mktemp -d "$CACHE/work.XXXX")"
trap 'rm -rf "$WORK"' EXIT

mkdir "$WORK/source"
cp -r "$ROOT"/{pyproject.toml,README.md,LICENSE,src} "$WORK/source/"

base() {  # Debian and Python
    [ -e "$CACHE/base.tar" ] && return
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$WORK/base" "$DEBIAN" > "$WORK/debootstrap.log" 2>&1 \
        || { tail -5 "$WORK/debootstrap.log" >&2; return 1; }
    rm -rf "$WORK"/base/var/cache/apt/* "$WORK"/base/var/lib/apt/lists/* "$WORK"/base/usr/share/{doc,man,locale}/*
    tar -C "$WORK/base" -cf "$WORK/base.tar" .
    mv "$WORK/base.tar" "$CACHE/base.tar"
}

environment() {  # everything but the library itself: $1
    [ -e "$1" ] && return
    mkdir -p "$WORK/root/wheels" "$CACHE/wheels"
    tar -C "$WORK/root" -xf "$CACHE/base.tar"
    (cd "$WORK/source" && "$PYTHON" -m pip wheel --quiet --wheel-dir "$WORK/root/wheels" --find-links "$CACHE/wheels" \
        --find-links "${PIP_FIND_LINKS:-$CACHE/wheels}" --constraint "$ROOT/requirements.lock" ".[pod]") 2> "$WORK/pip.log" \
        || { tail -5 "$WORK/pip.log" >&2; return 1; }
    rm -f "$WORK"/root/wheels/connectomake-*
    cp -n "$WORK"/root/wheels/*.whl "$CACHE/wheels/" || true
    chroot "$WORK/root" python3 -m venv /opt/venv
    chroot "$WORK/root" sh -c '/opt/venv/bin/pip install --quiet --no-index --find-links /wheels /wheels/*.whl'
    rm -rf "$WORK"/root/wheels "$WORK"/root/root/.cache
    (cd "$WORK"/root/opt/venv/lib/python3.11/site-packages && rm -rf torch/include torch/test pyarrow/include pyarrow/tests \
        numba/tests pip && find sympy numpy networkx matplotlib -type d -name tests -prune -exec rm -rf {} +)
    chroot "$WORK/root" useradd --uid 1000 --home-dir /workdir worker
    mkdir -p "$WORK/root/workdir"
    chmod 1777 "$WORK/root/workdir"
    tar -C "$WORK/root" -cf "$WORK/environment.tar" .
    rm -f "$CACHE"/environment-*.tar*
    mv "$WORK/environment.tar" "$1"
}

library() {  # one small layer: $1
    local site=opt/venv/lib/python3.11/site-packages
    mkdir -p "$WORK/layer/$site"
    "$PYTHON" -m pip install --quiet --no-deps --target "$WORK/layer/$site" "$WORK/source" 2> "$WORK/pip.log" || { cat "$WORK/pip.log" >&2; return 1; }
    rm -rf "$WORK/layer/$site/bin"
    tar -C "$WORK/layer" --owner=0 --group=0 -cf "$1" opt
}

# The environment depends on the locked versions and on what the library requires.
key="$( (cat "$ROOT/requirements.lock"; sed -n '/^environment()/,/^}/p' "$HERE/build-image.sh"; sed -n '/^dependencies/,/^\[project.scripts/p' "$ROOT/pyproject.toml") | sha256sum | cut -c1-16)"
base
environment "$CACHE/environment-$key.tar"
library "$WORK/library.tar"
"$PYTHON" "$HERE/oci_archive.py" "$ARCHIVE" "$TAG" "$CACHE/environment-$key.tar" "$WORK/library.tar"
