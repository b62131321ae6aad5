#!/usr/bin/env bash
# Gets Nacos 3.1 (Apache-2.0) once, into ${XDG_CACHE_HOME:-~/.cache}/open-autoglm/peers/nacos: the server's jars in lib, and the
# Java clients 1.4, which speaks HTTP, and 2.4, which speaks gRPC, in client1 and client2 (Maven; 2 minutes, 210 MB). The server's
# jars are a repackaging, since the official ones are at a download site alone. Nothing is left half done.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/nacos"
peers="${XDG_CACHE_HOME:-${HOME:?}/.cache}/open-autoglm/peers"
peer="$peers/nacos"
[[ -e $peer/whole-2 ]] && exit 0

for tool in mvn javac; do
  command -v "$tool" >/dev/null || { echo "nacos: no $tool: apt-get install maven default-jdk-headless" >&2; exit 1; }
done
mkdir -p "$peers"
work="$(mktemp -d "$peers/.nacos.XXXXXX")"
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cp "$here/pom.xml" "$here/client.xml" "$work/"
cd "$work"
mvn -B -q dependency:copy-dependencies -DoutputDirectory=lib
mvn -B -q -f client.xml -Dclient=1.4.7 dependency:copy-dependencies -DoutputDirectory=client1
mvn -B -q -f client.xml -Dclient=2.4.3 dependency:copy-dependencies -DoutputDirectory=client2
javac -d cls -cp "lib/*" "$here/NacosStandalone.java"
javac -d user -cp "client1/*" "$here/NacosUser.java"
touch whole-2
rm -rf "$peer"
mv -T "$work" "$peer" 2>/dev/null || [[ -e $peer/whole-2 ]]  # another run may have been faster
