#!/bin/sh
# Measures how the cost of a request grows: with the number of routes, of keys and of remembered tokens; and what memory a remembered token takes.
#
#   benches/growth.sh                         all of it; about 10 minutes, and 2 GiB of memory for a million tokens
#   benches/growth.sh --part routes           or keys, or tokens
#   benches/growth.sh --most 10000            no more tokens than these
#
# Routes and keys are counted in instructions, by callgrind: the same on a busy machine as on a quiet one. Tokens are
# measured in CPU time, as what a large table costs is what the processor waits for: the median of interleaved rounds.
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin"
export PATH

missing=""
for need in valgrind:valgrind nginx:nginx-light wrk:wrk openssl:openssl python3:python3-minimal taskset:util-linux; do
    command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
if [ -n "$missing" ]; then
    echo "installing:$missing" >&2
    # shellcheck disable=SC2086
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -q && apt-get install -q -y --no-install-recommends $missing" >&2
fi
exec python3 -B growth.py "$@"
