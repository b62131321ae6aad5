# shellcheck shell=bash
# Tests, tidy, format.

# run_tests PRESET [CTEST ARGUMENTS…]: ctest's closing lines come last.
run_tests() {
  local preset="$1"
  shift
  setup
  install_packages "${test_packages[@]}"
  build "$preset"
  say "testing $preset"
  exec ctest --preset "$preset" "$@"
}

fuzz() {
  setup
  build fuzz fuzzers
  exec python3 tools/fuzz.py "$@"
}

our_sources() { git ls-files --cached --others --exclude-standard -- '*.cc' '*.h'; }

# Changed since HEAD~ or not yet committed. A header is checked through the source of its name.
changed_sources() {
  { git diff --name-only --diff-filter=d HEAD~ -- '*.cc' '*.h' 2>/dev/null || our_sources
    git ls-files --others --exclude-standard -- '*.cc' '*.h'
  } | sed 's/\.h$/.cc/' | sort -u | while read -r file; do [[ -f $file ]] && echo "$file"; done || true
}

tidy() {
  setup
  python3 tools/tidy.py
  python3 tools/translations.py
  # Configured but not built: this preset lists the flags of each single source; others compile several at a time.
  configure debug
  local files count number
  if [[ ${1:-} == all ]]; then files="$(our_sources | grep '\.cc$')"; else files="$(changed_sources)"; fi
  # A source that the preset does not compile has no flags to be checked with.
  files="$(while read -r file; do grep -qF "\"$root/$file\"" build/debug/compile_commands.json && echo "$file"; done <<<"$files")" || true
  [[ -n $files ]] || { say "clang-tidy: no source changed since HEAD~ (./dev tidy all checks every one)"; return; }
  count="$(wc -l <<<"$files")"
  number="$(jobs_for 1500)"
  say "clang-tidy over $count files, $number at once"
  xargs -d '\n' -P "$number" -n 1 "clang-tidy-$(installed_clang)" -p build/debug --quiet <<<"$files" 2> >(grep -vE '^[0-9]+ warnings? generated|^Suppressed|^Use -header-filter' >&2) ||
    fail "clang-tidy objects: see above"
  say "clang-tidy: $count files are clean"
}

fmt() {
  # Each version formats a little differently: the first of the list decides.
  local format="clang-format-${clang_versions[0]}"
  command -v "$format" >/dev/null || install_packages "$format"
  if [[ ${1:-} == --check ]]; then
    our_sources | xargs -d '\n' "$format" --dry-run --Werror || fail "./dev fmt would change the files above"
  else
    our_sources | xargs -d '\n' "$format" -i
  fi
}
