# shellcheck shell=bash
# ./dev's output: one line per step, progress on long steps, and one line that says what to do on a failure.

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

# watched LOG COMMAND…: runs COMMAND with its output in LOG. A progress line shows how far it is and how long it may still take:
# on a terminal the line is redrawn every second; elsewhere a new one is printed every 15 s, so that neither a person nor a CI
# that ends silent jobs thinks it hangs. Returns the command's status.
watched() {
  local log="$1" status=0 start=$SECONDS every=15
  shift
  [[ ! -t 1 ]] || every=1
  mkdir -p "$(dirname "$log")"
  : >"$log"
  (
    # The ticker's sleep must not outlive it: it would be a stray process in every CI's list.
    trap 'kill "${!:-}" 2>/dev/null; exit' TERM
    while :; do
      sleep "$every" >/dev/null 2>&1 &
      wait "$!"
      draw "  $(progress "$log" $((SECONDS - start)))"
    done
  ) &
  ticker=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  stop_ticker
  [[ ! -t 1 ]] || printf '\r\033[K'
  return "$status"
}

draw() {
  if [[ ! -t 1 ]]; then
    say "$1"
    return
  fi
  local columns
  columns="$(stty size <&1 2>/dev/null | cut -d' ' -f2)" || true
  printf '\r\033[K%.*s' "$((${columns:-80} - 1))" "dev: $1"
}

# progress LOG SECONDS: for ninja ([done/all] on its lines) and apt (it fetches, unpacks and sets up each package) the share
# that is done, and the time left at the pace so far; for other commands the last line.
progress() {
  tr '\r' '\n' <"$1" | awk -v seconds="$2" '
    function clock(t) { return sprintf("%d:%02d", t / 60, t % 60) }
    /^[ \t]*$/ { next }
    { last = $0 }
    /^\[[0-9]+\/[0-9]+\] / {
      split(substr($1, 2), count, /[\/\]]/); done = count[1]; all = count[2]
      last = $NF; sub(/\.o$/, "", last); sub(/CMakeFiles\/[^\/]*\.dir\//, "", last)
      n = split(last, part, "/"); if (n > 1) last = part[n - 1] "/" part[n]
    }
    / newly installed, / { all = 3 * ($1 + $3); done = 0 }
    /^(Get:|Unpacking |Setting up )/ { done++ }
    END {
      line = clock(seconds)
      if (all > 0 && done <= all) {
        line = line sprintf(", %d %%", 100 * done / all)
        if (done * 10 >= all) line = line ", about " clock(seconds * (all - done) / done) " left"
      }
      print line ": " substr(last, 1, 100)
    }'
}

# require_disk MEGABYTES WHAT FOLDER
require_disk() {
  local free
  free="$(df -Pm "$3" | awk 'NR == 2 { print $4 }')"
  ((free >= $1)) || fail "$2 needs $1 MB of disk, $3 has $free MB free: make room and try again"
}
