#!/usr/bin/env bash
# Puts gRPC's client for Node into FOLDER, as the lockfile pins it. Done already: milliseconds.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="$1"
mkdir -p "$folder"
if cmp -s "$here/package-lock.json" "$folder/package-lock.json" && [[ -d $folder/node_modules/@grpc/grpc-js ]]; then exit 0; fi
cp "$here/package.json" "$here/package-lock.json" "$folder/"
npm ci --prefix "$folder" --no-audit --no-fund --prefer-offline >"$folder/npm.log" 2>&1 || {
  rm -f "$folder/package-lock.json"
  tail -n 5 "$folder/npm.log" >&2
  echo "npm could not install gRPC's client: is the registry reachable (npm ping)?" >&2
  exit 1
}
