#!/usr/bin/env bash
# The image of envs/Dockerfile (CPU) without docker: a root filesystem from Debian, an environment in it, an OCI archive.
#
#   build-image.sh PYTHON ARCHIVE TAG
#
# PYTHON: of an environment of this repository, 3.11; its pip fetches the wheels. 5 minutes the first time, then half a minute: the
# base and the environment are cached outside the repository; only the library's own layer is made anew. WARM=0 in the environment
# leaves its loops to be compiled in the pods.
set -euo pipefail

PYTHON="$1" ARCHIVE="$2" TAG="$3"
HERE="$(cd "$(dirname "$0")" && pwd)"
ROOT="$(cd "$HERE/../../.." && pwd)"
CACHE="${CONNECTOMAKE_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/connectomake/kubernetes}/image"
DEBIAN="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
SITE=opt/venv/lib/python3.11/site-packages
mkdir -p "$CACHE"
exec 9> "$CACHE/lock"
flock 9
rm -rf "$CACHE"/work.*
WORK="$(mktemp -d "$CACHE/work.XXXX")"
trap 'umount -l "$WORK/merged" 2> /dev/null || true; rm -rf "$WORK"' EXIT
mkdir "$WORK"/{source,layer,overlay,merged}
cp -r "$ROOT"/{pyproject.toml,README.md,LICENSE,src} "$WORK/source/"

quietly() {  # say what a command printed only if it fails
    "$@" > "$WORK/log" 2>&1 || { grep -v '^WARNING' "$WORK/log" | tail -5 >&2; return 1; }
}

base() {  # Debian and Python
    [ -e "$CACHE/base.tar" ] && return
    quietly debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$WORK/base" "$DEBIAN"
    rm -rf "$WORK"/base/var/cache/apt/* "$WORK"/base/var/lib/apt/lists/* "$WORK"/base/usr/share/{doc,man,locale}/*
    tar -C "$WORK/base" -cf "$WORK/base.tar" .
    mv "$WORK/base.tar" "$CACHE/base.tar"
}

wheels() {  # into the folder $1
    (cd "$WORK/source" && quietly "$PYTHON" -m pip wheel --quiet --wheel-dir "$1" --find-links "$CACHE/wheels" \
        --find-links "${PIP_FIND_LINKS:-$CACHE/wheels}" --constraint "$ROOT/requirements.lock" ".[pod]")
    rm -f "$1"/connectomake-*
    cp -n "$1"/*.whl "$CACHE/wheels/" || true
}

environment() {  # everything but the library itself, as the folder $1 and the layer $1.tar
    [ -e "$1.tar" ] && return
    mkdir -p "$WORK/root/wheels" "$CACHE/wheels"
    tar -C "$WORK/root" -xf "$CACHE/base.tar"
    wheels "$WORK/root/wheels"
    chroot "$WORK/root" python3 -m venv /opt/venv
    quietly chroot "$WORK/root" sh -c '/opt/venv/bin/pip install --no-index --find-links /wheels /wheels/*.whl'
    (cd "$WORK/root/wheels" && ls | sed 's/-.*//; s/_/-/g' | tr A-Z a-z) > "$WORK/names"
    rm -rf "$WORK"/root/wheels "$WORK"/root/root/.cache
    (cd "$WORK/root/$SITE" && rm -rf torch/include torch/test pyarrow/include pyarrow/tests numba/tests pip \
        && find sympy numpy networkx matplotlib -type d -name tests -prune -exec rm -rf {} +)
    chroot "$WORK/root" useradd --uid 1000 --home-dir /workdir worker
    install -d -m 1777 "$WORK/root/workdir"
    tar -C "$WORK/root" -cf "$WORK/environment.tar" .
    rm -rf "$CACHE"/environment-*
    mv "$WORK/names" "$CACHE/names"
    mv "$WORK/root" "$1"
    mv "$WORK/environment.tar" "$1.tar"
}

library() {  # the library and the compiled form of its loops, as a layer on the folder $1; into $2, unless it is there
    [ -e "$2" ] && return
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$WORK/layer,workdir=$WORK/overlay" "$WORK/merged"
    quietly "$PYTHON" -m pip install --no-deps --target "$WORK/merged/$SITE" "$WORK/source"
    rm -rf "$WORK/merged/$SITE/bin"
    mkdir -p "$WORK/merged/tmp/warm/tests" "$WORK/merged/opt/numba"
    cp -r "$ROOT/scripts" "$WORK/merged/tmp/warm/"
    cp "$ROOT/tests/tiny_run.py" "$WORK/merged/tmp/warm/tests/"
    [ "${WARM:-1}" = 0 ] || quietly chroot "$WORK/merged" env HOME=/tmp USER=worker NUMBA_CACHE_DIR=/opt/numba OMP_NUM_THREADS=1 \
        sh -c 'cd /tmp/warm && /opt/venv/bin/python -m tests.tiny_run' || echo "the loops are not compiled ahead" >&2
    chmod -R a+rwX "$WORK/merged/opt/numba"
    rm -rf "$WORK/merged/tmp/warm"
    umount "$WORK/merged"
    tar -C "$WORK/layer" --owner=0 --group=0 -cf "$WORK/library.tar" opt
    rm -f "$CACHE"/library-*.tar
    mv "$WORK/library.tar" "$2"
}

key() {  # of the environment: what the library requires, and the locked versions of what was installed the last time
    sed -n '/^dependencies/,/^\]/p; /^pod/p' "$ROOT/pyproject.toml"
    sed -n '/^wheels()/,/^library()/p' "$HERE/build-image.sh"
    tr A-Z_ a-z- < "$ROOT/requirements.lock" | grep -F -x -f <(tr A-Z_ a-z- < "$ROOT/requirements.lock" \
        | while IFS= read -r line; do grep -q -x -F "${line%%==*}" "$CACHE/names" && echo "$line"; done)
}

touch "$CACHE/names"
base
environment "$CACHE/environment-$(key | sha256sum | cut -c1-16)"
folder="$(ls -d "$CACHE"/environment-*.tar)"
made="$CACHE/environment-$(key | sha256sum | cut -c1-16)"
[ "$folder" = "$made.tar" ] || for end in "" .tar; do mv "${folder%.tar}$end" "$made$end"; done
[ -e "$made.tar.sha256" ] || sha256sum "$made.tar" | cut -d" " -f1 | tr -d "\n" > "$made.tar.sha256"
source="$(cd "$ROOT" && find src scripts tests/tiny_run.py -name '*.py' -o -name '*.yaml' | sort | xargs cat "$made.tar.sha256" | sha256sum | cut -c1-16)"
library "$made" "$CACHE/library-$source-${WARM:-1}.tar"
"$PYTHON" "$HERE/oci_archive.py" "$ARCHIVE" "$TAG" "$made.tar" "$CACHE/library-$source-${WARM:-1}.tar"
