#!/usr/bin/env bash
# Gets Consul 1.14.11, the last line under an open licence (MPL-2.0): a Go module, built once (18 minutes of one core), into
# ${XDG_CACHE_HOME}/open-autoglm/peers/consul. Prints the folder. Nothing is left half done: the folder appears when it works.
set -euo pipefail

version=1.14.11
peers="${XDG_CACHE_HOME:-$HOME/.cache}/open-autoglm/peers"
peer="$peers/consul"
if [[ ! -x $peer/consul ]]; then
  command -v go >/dev/null || { echo "consul: no Go compiler" >&2; exit 1; }
  mkdir -p "$peers"
  work="$(mktemp -d "$peers/.consul.XXXXXX")"
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  (
    cd "$work"
    go mod init peers >/dev/null 2>&1
    module="$(go mod download -json "github.com/hashicorp/consul@v$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')"
    cp -r "$module" source
    chmod -R u+w source
    cd source
    # A module outside its repository does not see its siblings' folders: their published versions stand in go.mod.
    go mod edit -dropreplace=github.com/hashicorp/consul/api -dropreplace=github.com/hashicorp/consul/sdk \
      -dropreplace=github.com/hashicorp/consul/proto-public
    CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags '-s -w' -o ../bin/consul .
  ) >&2
  "$work/bin/consul" version >&2
  # Another process may have been quicker; one of the two is enough.
  mv -T "$work/bin" "$peer" 2>/dev/null || [[ -x $peer/consul ]]
fi
echo "$peer"
