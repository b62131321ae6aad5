#!/usr/bin/env bash
# Gets Nacos 3.1 once: ~/.cache/open-autoglm/peers/nacos/{lib,cls}, and the Java client 2.4 in client/.
# The server's jars in Maven are a repackaging; the official ones are only at a download site.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)/nacos"
peers="${XDG_CACHE_HOME:-$HOME/.cache}/open-autoglm/peers"
[[ -e "$peers/nacos/cls/NacosStandalone.class" ]] && exit 0
command -v mvn >/dev/null && command -v javac >/dev/null || { echo "nacos: needs maven and a JDK (apt-get install maven default-jdk-headless)" >&2; exit 3; }
mkdir -p "$peers"
work="$(mktemp -d "$peers/.nacos-XXXXXX")"
trap 'rm -rf "$work"' EXIT
cp "$here/pom.xml" "$work/"
(cd "$work" && mvn -B -q dependency:copy-dependencies -DoutputDirectory=lib)
mkdir "$work/cls"
javac -d "$work/cls" -cp "$work/lib/*" "$here/NacosStandalone.java"
chmod 755 "$work"
# Another run may have been faster; either is whole.
mv -T "$work" "$peers/nacos" 2>/dev/null || [[ -e "$peers/nacos/cls/NacosStandalone.class" ]]
