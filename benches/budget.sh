#!/bin/sh
# Says what a request is made of: its system calls, its allocations, and whose instructions it runs.
#
#   benches/budget.sh                         public, and a token that is remembered; about 3 minutes
#   benches/budget.sh --workload fost         another; see benches/instructions.sh
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin"
export PATH

missing=""
for need in valgrind:valgrind strace:strace nginx:nginx-light wrk:wrk openssl:openssl python3:python3-minimal taskset:util-linux; do
    command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
if [ -n "$missing" ]; then
    echo "installing:$missing" >&2
    # shellcheck disable=SC2086
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -q && apt-get install -q -y --no-install-recommends $missing" >&2
fi
exec python3 -B budget.py "$@"
