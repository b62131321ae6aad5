# shellcheck shell=bash
# What ./dev says: one line a step, a sign of life on long ones, one line that says what to do on a failure.

say() { echo "dev: $*"; }

fail() {
  echo "dev: $*" >&2
  exit 1
}

ticker=
stop_ticker() {
  [[ -z $ticker ]] || kill "$ticker" 2>/dev/null || true
  ticker=
}
trap stop_ticker EXIT

# watched LOG COMMAND…: runs it with its output in LOG. Every 15 s a line says how far it is, so that neither a
# person nor a CI that ends silent jobs thinks it hangs. Returns the command's status.
watched() {
  local log="$1" status=0 start=$SECONDS line
  shift
  mkdir -p "$(dirname "$log")"
  : >"$log"
  (
    # Its sleep must not outlive it: it would be a stray process in every CI's list.
    trap 'kill "${!:-}" 2>/dev/null; exit' TERM
    while :; do
      sleep 15 >/dev/null 2>&1 &
      wait "$!"
      line="$(tail -c 2000 "$log" | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c1-100)" || true
      say "  $((SECONDS - start)) s: $line"
    done
  ) &
  ticker=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  stop_ticker
  return "$status"
}

# require_disk MEGABYTES WHAT FOLDER
require_disk() {
  local free
  free="$(df -Pm "$3" | awk 'NR == 2 { print $4 }')"
  ((free >= $1)) || fail "$2 needs $1 MB of disk, $3 has $free MB free: make room and try again"
}
