#!/usr/bin/env bash
# Gets Prometheus 2.45 with its discovery by Consul, which Debian's package leaves out: a Go module, built once, into
# ${XDG_CACHE_HOME}/open-autoglm/peers/prometheus. Prints the folder. Nothing is left half done: the folder appears when it works.
set -euo pipefail

version=0.45.0 # the module's number of 2.45.0
peers="${XDG_CACHE_HOME:-$HOME/.cache}/open-autoglm/peers"
peer="$peers/prometheus"
if [[ ! -x $peer/prometheus ]]; then
  command -v go >/dev/null || { echo "prometheus: no Go compiler" >&2; exit 1; }
  mkdir -p "$peers"
  work="$(mktemp -d "$peers/.prometheus.XXXXXX")"
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  (
    cd "$work"
    go mod init peers >/dev/null 2>&1
    module="$(go mod download -json "github.com/prometheus/prometheus@v$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')"
    cp -r "$module" source
    chmod -R u+w source
    cd source
    # Of its ways to discover only one: the others bring the clients of a dozen clouds.
    printf 'package plugins\n\nimport _ "github.com/prometheus/prometheus/discovery/consul"\n' >plugins/plugins.go
    CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags '-s -w' -o ../bin/prometheus ./cmd/prometheus
  ) >&2
  "$work/bin/prometheus" --version >&2
  # Another process may have been quicker; one of the two is enough.
  mv -T "$work/bin" "$peer" 2>/dev/null || [[ -x $peer/prometheus ]]
fi
echo "$peer"
