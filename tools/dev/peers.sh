# shellcheck shell=bash
# Tests against real servers that Debian does not have. Peer NAME is two files: tools/peers/NAME.sh gets it once into
# ${XDG_CACHE_HOME:-~/.cache}/open-autoglm/peers/NAME, and tests/peers/test_NAME.py tests against it.

# test_peers [--skip-missing] [NAME…]: without a name, every peer. A peer that cannot be had is named last, with the reason,
# and is a failure unless --skip-missing.
test_peers() {
  local names=() known=() name allowed='' passed=() failed=() missing=()
  for name in tools/peers/*.sh; do
    [[ ! -f $name ]] || known+=("$(basename "$name" .sh)")
  done
  while (($# > 0)); do
    case "$1" in
      --skip-missing) allowed=1 ;;
      *)
        [[ " ${known[*]} " == *" $1 "* ]] || fail "there is no peer \"$1\": ${known[*]}"
        names+=("$1")
        ;;
    esac
    shift
  done
  ((${#names[@]} > 0)) || names=("${known[@]}")
  ((${#names[@]} > 0)) || fail "there is no peer in tools/peers"
  build_for_peers
  # A peer is got before the first test: compilers beside a test would disturb its times.
  local had=()
  for name in "${names[@]}"; do
    if get_peer "$name"; then had+=("$name"); else missing+=("$name: $(why_not "$name")"); fi
  done
  for name in "${had[@]}"; do
    if test_peer "$name"; then passed+=("$name"); else failed+=("$name"); fi
  done
  ((${#passed[@]} == 0)) || say "passed against ${passed[*]}"
  for name in "${missing[@]}"; do say "NOT TESTED against $name" >&2; done
  ((${#failed[@]} == 0)) || fail "FAILED against ${failed[*]}"
  ((${#missing[@]} == 0)) || [[ -n $allowed ]] || fail "${#missing[@]} of ${#names[@]} peers could not be had; --skip-missing allows that"
}

build_for_peers() {
  setup
  install_packages "${test_packages[@]}"
  build release bin/open-autoglm models/tiny.gguf
}

# get_peer NAME: its script says within milliseconds that the peer is there already.
get_peer() {
  [[ -f tests/peers/test_$1.py ]] || fail "tests/peers/test_$1.py is missing: $1 is got and not tested"
  say "getting $1, where it is not in the cache yet"
  watched "build/log/peer-$1.log" bash "tools/peers/$1.sh"
}

# What its script said last, which is the reason.
why_not() { tail -n 1 "build/log/peer-$1.log" | grep . || echo "tools/peers/$1.sh failed without a word"; }

test_peer() {
  say "testing against $1"
  (
    cd tests/peers
    AUTOGLM_BINARY="$root/build/release/bin/open-autoglm" AUTOGLM_TINY_MODEL="$root/build/release/models/tiny.gguf" \
      PYTHONDONTWRITEBYTECODE=1 python3 -m unittest -v "test_$1"
  )
}
