#!/usr/bin/env bash
# The image of envs/Dockerfile (CPU) without docker: a root filesystem from Debian, an environment in it, an OCI archive.
#
#   build-image.sh PYTHON ARCHIVE TAG
#
# PYTHON: of an environment of this repository, 3.11; its pip fetches the wheels. The image's environment has the versions of
# requirements.lock and requirements-cluster.lock, without what only tests and heads need. 5 minutes the first time, then a
# minute: base and environment are cached outside the repository, under a stamp of the locked versions; the library's own layer
# is made anew when a file of src changes. WARM=0 in the environment leaves its loops to be compiled in the pods.
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

wheels() {  # exactly what pins.py lists, into the folder $1
    quietly "$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$1" --find-links "$CACHE/wheels" \
        --find-links "${PIP_FIND_LINKS:-$CACHE/wheels}" --requirement "$WORK/pins"
    cp -n "$1"/*.whl "$CACHE/wheels/" || true
}

environment() {  # everything but the library itself, as the folder $1 and the layer $1.tar
    [ -e "$1.tar" ] && return
    mkdir -p "$WORK/root/wheels" "$CACHE/wheels"
    tar -C "$WORK/root" -xf "$CACHE/base.tar"
    wheels "$WORK/root/wheels"
    chroot "$WORK/root" python3 -m venv /opt/venv
    quietly chroot "$WORK/root" sh -c '/opt/venv/bin/pip install --no-index --no-deps /wheels/*.whl && /opt/venv/bin/pip check'
    rm -rf "$WORK"/root/wheels "$WORK"/root/root/.cache
    (cd "$WORK/root/$SITE" && rm -rf torch/include torch/test pyarrow/include pyarrow/tests numba/tests pip \
        && find sympy numpy networkx matplotlib -type d -name tests -prune -exec rm -rf {} +)
    chroot "$WORK/root" useradd --uid 1000 --home-dir /workdir worker
    install -d -m 1777 "$WORK/root/workdir"
    tar -C "$WORK/root" -cf "$WORK/environment.tar" .
    rm -rf "$CACHE"/environment-*
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
    cp "$ROOT"/tests/{tiny_run,rule_jobs}.py "$WORK/merged/tmp/warm/tests/"
    [ "${WARM:-1}" = 0 ] || quietly chroot "$WORK/merged" env HOME=/tmp USER=worker NUMBA_CACHE_DIR=/opt/numba OMP_NUM_THREADS=1 \
        sh -c 'cd /tmp/warm && /opt/venv/bin/python -m tests.tiny_run' || echo "the loops are not compiled ahead" >&2
    chmod -R a+rX,go-w "$WORK/merged/opt/numba"
    rm -rf "$WORK/merged/tmp/warm"
    umount "$WORK/merged"
    tar -C "$WORK/layer" --owner=0 --group=0 -cf "$WORK/library.tar" opt
    rm -f "$CACHE"/library-*.tar
    mv "$WORK/library.tar" "$2"
}

stamp() {  # of the environment: its exact versions, and how it is made
    { cat "$WORK/pins"; sed -n '/^base()/,/^library()/p' "$HERE/build-image.sh"; } | sha256sum | cut -c1-16
}

source_stamp() {  # of the library's layer: the files that are in it or made it, and the environment below
    (cd "$ROOT" && find pyproject.toml src scripts tests/tiny_run.py tests/rule_jobs.py -name '*.py' -o -name '*.yaml' -o -name '*.toml' | sort \
        | xargs sha256sum; cat "$1.tar.sha256"; sed -n '/^library()/,/^}/p' "$HERE/build-image.sh") | sha256sum | cut -c1-16
}

"$PYTHON" "$HERE/pins.py" "$ROOT" > "$WORK/pins"
base
made="$CACHE/environment-$(stamp)"
environment "$made"
[ -e "$made.tar.sha256" ] || sha256sum "$made.tar" | cut -d" " -f1 | tr -d "\n" > "$made.tar.sha256"
layer="$CACHE/library-$(source_stamp "$made")-${WARM:-1}.tar"
library "$made" "$layer"
"$PYTHON" "$HERE/oci_archive.py" "$ARCHIVE" "$TAG" "$made.tar" "$layer"
