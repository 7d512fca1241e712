#!/usr/bin/env bash
# Build Kubernetes' four server binaries and its pause from Debian's source package, once, into a cache outside the repository.
#
#   build-binaries.sh [--check]      # --check: only say whether they are there
#
# 4 to 5 minutes on two cores that do nothing else, 7.6 of CPU time; 2.5 GB while it builds, 210 MB kept. Needs root (apt-get) on Debian 12; nothing but Debian's archive.
set -euo pipefail

CACHE="${CONNECTOMAKE_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/connectomake/kubernetes}"
BINARIES=(kube-apiserver kube-controller-manager kube-scheduler kubelet pause)

complete() {
    local name
    for name in "${BINARIES[@]}"; do [ -x "$CACHE/bin/$name" ] || return 1; done
}

fetch_source() {  # into $1/kubernetes; with package lists of its own, so that the machine's sources stay as they are
    local work="$1" apt=(-o "Dir::Etc::sourcelist=$1/sources.list" -o "Dir::Etc::sourceparts=/dev/null" -o "Dir::State::lists=$1/lists")
    mkdir -p "$work/lists/partial"
    {
        echo "deb-src http://deb.debian.org/debian bookworm main"
        echo "deb-src http://deb.debian.org/debian-security bookworm-security main"
    } > "$work/sources.list"
    apt-get "${apt[@]}" -qq update
    (cd "$work" && apt-get "${apt[@]}" -qq -o APT::Sandbox::User=root source --download-only kubernetes && dpkg-source --no-check -x kubernetes_*.dsc kubernetes)
}

install_tools() {  # one at a time with debian.py, which other tests may be running
    flock /var/lock/connectomake-tests apt-get -qq update
    DEBIAN_FRONTEND=noninteractive flock /var/lock/connectomake-tests apt-get -qq install --no-install-recommends golang-1.19-go dpkg-dev make gcc libc6-dev rsync git > /dev/null
}

build() {  # in the source folder $1
    cd "$1"
    # Without the clouds of providers and without docker: half of the code
    export PATH="/usr/lib/go-1.19/bin:$PATH" CGO_ENABLED=0 GOPROXY=off FORCE_HOST_GO=y KUBE_GIT_VERSION=v1.20.2
    export GOFLAGS="-mod=vendor -tags=providerless,dockerless"
    export GOCACHE="$1/../go-cache" GOPATH="$1/../go"
    make WHAT="cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler cmd/kubelet"
    gcc -Os -Wall -static -o _output/pause build/pause/pause.c 2> /dev/null || gcc -Os -static -DVERSION=local -o _output/pause build/pause/linux/pause.c
}

keep() {  # from the source folder $1
    mkdir -p "$CACHE/bin.part"
    local name
    for name in "${BINARIES[@]:0:4}"; do install "$1/_output/local/go/bin/$name" "$CACHE/bin.part/$name"; done
    install "$1/_output/pause" "$CACHE/bin.part/pause"
    rm -rf "$CACHE/bin"
    mv "$CACHE/bin.part" "$CACHE/bin"
}

if [ "${1:-}" = --check ]; then complete; exit; fi
mkdir -p "$CACHE"
exec 9> "$CACHE/lock"
flock 9  # one build at a time
complete && { echo "$CACHE/bin: complete"; exit 0; }
work="$CACHE/build"
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
install_tools
fetch_source "$work"
build "$work/kubernetes"
keep "$work/kubernetes"
echo "$CACHE/bin: built in $SECONDS s"
