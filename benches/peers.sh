#!/bin/sh
# Measures what a request costs in CPU time: Doorward against HAProxy, nginx and Envoy, on this machine, in interleaved rounds.
#
#   benches/peers.sh                          all workloads, 3 rounds of 5 s each; about 12 minutes
#   benches/peers.sh --workload rs256 --rounds 5 --seconds 8
#   benches/peers.sh --other FILE             a second doorward takes part: two builds against each other
#   benches/peers.sh --shape                  only to see that it works and what its table looks like; half a minute
#
# benches/newer.sh fetches newer proxies than Debian 12 has; without it HAProxy 2.6 alone takes part.
# Needs a Debian machine with two cores, a release build (cargo build --release), and root once for the packages.
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin"
export PATH

missing=""
for need in haproxy:haproxy nginx:nginx-light wrk:wrk h2load:nghttp2-client openssl:openssl python3:python3-minimal taskset:util-linux; do
    command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
if [ -n "$missing" ]; then
    echo "installing:$missing" >&2
    # RUNLEVEL=1: none of them is started as a service.
    # shellcheck disable=SC2086
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -q && apt-get install -q -y --no-install-recommends $missing" >&2
fi
exec python3 -B peers.py "$@"
