#!/usr/bin/env bash
# Puts the official clients into FOLDER, as the lockfile pins them. Done already: milliseconds.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="$1"
mkdir -p "$folder"
if cmp -s "$here/package-lock.json" "$folder/package-lock.json" && [[ -d $folder/node_modules/openai ]]; then exit 0; fi
cp "$here/package.json" "$here/package-lock.json" "$folder/"
npm ci --prefix "$folder" --no-audit --no-fund --prefer-offline >"$folder/npm.log" 2>&1 || {
  rm -f "$folder/package-lock.json"
  tail -n 5 "$folder/npm.log" >&2
  echo "npm could not install the clients: is the registry reachable (npm ping)?" >&2
  exit 1
}
