# shellcheck shell=bash
# The quick tests in an empty root of each supported Debian: what a person gets who has installed nothing but git.

declare -A systems=([debian-12]=bookworm [debian-13]=trixie)

# test_systems [--fresh] [SYSTEM…]: the roots are kept, so that a second run installs and compiles only changes.
test_systems() {
  local fresh='' names=() name
  while (($# > 0)); do
    if [[ $1 == --fresh ]]; then fresh=1; else names+=("$1"); fi
    shift
  done
  ((${#names[@]} > 0)) || names=(debian-12 debian-13)
  for name in "${names[@]}"; do
    [[ -n ${systems[$name]:-} ]] || fail "there is no system \"$name\": debian-12, debian-13"
  done
  ((EUID == 0)) || fail "test-systems needs root, to make roots and to go into them: sudo -E ./dev test-systems"
  command -v debootstrap >/dev/null || install_packages debootstrap
  unshare --mount true 2>/dev/null || fail "test-systems needs a mount namespace of its own, which this machine (a container?) does not allow"
  for name in "${names[@]}"; do
    test_system "$name" "$fresh" || fail "$name fails: see above"
  done
}

test_system() {
  local name="$1" fresh="$2" start=$SECONDS
  local home="${XDG_CACHE_HOME:-${HOME:?}/.cache}/open-autoglm/systems"
  local system="$home/$name"
  mkdir -p "$home"
  [[ -z $fresh ]] || rm -rf --one-file-system "$system"
  [[ -d $system ]] || make_system "$name" "$system" || return
  lend_settings "$system"
  lend_checkout "$system/src/open-autoglm"
  say "$name: ./dev setup build test -L quick"
  enter "$system" ./dev setup build test -L quick || return
  say "$name passes, after $((SECONDS - start)) s"
}

make_system() {
  local name="$1" system="$2" mirror
  require_disk 8000 "a root of $name" "$(dirname "$system")"
  # The mirror of this system's own Debian packages; on other systems (Ubuntu) debootstrap has a default.
  mirror="${AUTOGLM_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')}"
  say "$name: an empty root in $system"
  rm -rf --one-file-system "$system.new"
  # shellcheck disable=SC2086
  watched "build/log/debootstrap-$name.log" debootstrap --variant=minbase "${systems[$name]}" "$system.new" $mirror || {
    tail -n 5 "build/log/debootstrap-$name.log" >&2
    return 1
  }
  # A root lost in a power cut is made anew; waiting for the disk after each of 50,000 files took minutes.
  echo force-unsafe-io >"$system.new/etc/dpkg/dpkg.cfg.d/unsafe-io"
  mv "$system.new" "$system"
}

# The roots need this machine's settings to reach package registries: host names, proxies, certificates, clients' settings.
lend_settings() {
  local system="$1" file
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf ~/.npmrc ~/.config/pip/pip.conf ~/.pip/pip.conf; do
    [[ ! -f $file ]] || install -Dm 600 "$file" "$system${file/#$HOME//root}"
  done
  chmod 644 "$system/etc/resolv.conf" "$system/etc/hosts" 2>/dev/null || true
  apt-config dump 2>/dev/null | grep -E '^Acquire::.*(Proxy|Verify|CaInfo)' >"$system/etc/apt/apt.conf.d/90lent" || true
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    mkdir -p "$system/usr/local/share/ca-certificates"
    cp /usr/local/share/ca-certificates/*.crt "$system/usr/local/share/ca-certificates/"
  fi
}

# Copies this checkout, uncommitted changes included; what an earlier run has built in the copy stays.
lend_checkout() {
  local copy="$1"
  mkdir -p "$copy"
  find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
    xargs -0 cp -a --parents -t "$copy"
  chown -R 0:0 "$copy"
  # Tools that ask git for our sources must find these.
  git -C "$copy" init -q && git -C "$copy" add -A
}

# enter SYSTEM COMMAND…: runs COMMAND in SYSTEM, in namespaces that end with it, and with no environment of this machine except
# what is needed to reach registries and what is meant for ./dev.
enter() {
  local system="$1" lent=() name
  shift
  while IFS= read -r name; do lent+=("$name=${!name}"); done < <(compgen -e |
    grep -E '(_|^)(proxy|PROXY)$|^(SSL_|NODE_EXTRA_|CURL_|REQUESTS_|GIT_SSL_|PIP_|npm_config_|NPM_CONFIG_|HF_|AUTOGLM_)' | grep -v '^AUTOGLM_SKIP')
  # shellcheck disable=SC2016
  unshare --mount --pid --fork bash -c '
    set -euo pipefail
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount --rbind /sys "$1/sys"
    system="$1" && shift
    exec chroot "$system" "$@"' enter "$system" \
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" "${lent[@]}" \
    bash -c 'cd /src/open-autoglm && exec "$@"' in-root "$@"
}
