#!/usr/bin/env bash
# Gets kube-apiserver of Kubernetes 1.36 (Apache-2.0), by the modules and checksums in tools/peers/kubernetes: a Go module, built
# once (5 to 10 minutes of one core, 2 GB of disk), into ${XDG_CACHE_HOME:-~/.cache}/open-autoglm/peers/kubernetes. Its etcd is
# Debian's. Nothing is left half done: the folder appears when it works.
set -euo pipefail

modules="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/kubernetes"
version="$(sed -n 's/^require k8s.io\/kubernetes //p' "$modules/go.mod")"
peers="${XDG_CACHE_HOME:-${HOME:?}/.cache}/open-autoglm/peers"
peer="$peers/kubernetes"

fail() {
  echo "kubernetes: $*" >&2
  exit 1
}

command -v etcd >/dev/null || fail "etcd is missing: apt-get install etcd-server"
if [[ ! -x $peer/kube-apiserver ]]; then
  command -v go >/dev/null || fail "no Go compiler; kube-apiserver $version needs Go 1.26"
  mkdir -p "$peers"
  work="$(mktemp -d "$peers/.kubernetes.XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  IFS=. read -r major minor _ <<<"${version#v}"
  # The version is what it tells its clients, and what it compares its features with; unset, it takes itself for 0.0.
  variable=k8s.io/component-base/version
  (
    cd "$modules"
    CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -o "$work/bin/kube-apiserver" \
      -ldflags "-s -w -X $variable.gitVersion=$version -X $variable.gitMajor=$major -X $variable.gitMinor=$minor" \
      k8s.io/kubernetes/cmd/kube-apiserver
  ) >&2 || fail "kube-apiserver $version does not build"
  "$work/bin/kube-apiserver" --version >&2
  # Another process may have been quicker; one of the two is enough.
  mv -T "$work/bin" "$peer" 2>/dev/null || [[ -x $peer/kube-apiserver ]]
fi
echo "$peer"
