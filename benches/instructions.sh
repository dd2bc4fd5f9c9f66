#!/bin/sh
# Counts the instructions that one request costs, in user space, under callgrind: the same on a busy machine as on a quiet one.
#
#   benches/instructions.sh                   prints instructions a request beside the committed figures; fails if one rose by more than 5 %
#   benches/instructions.sh --write           makes what it counts the committed figures (instructions.json)
#   benches/instructions.sh --workload fost   one of the workloads
#
# Needs a build of the profile that the figures are of: cargo build --profile gate
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin"
export PATH

missing=""
for need in valgrind:valgrind nginx:nginx-light openssl:openssl python3:python3-minimal taskset:util-linux; do
    command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
if [ -n "$missing" ]; then
    echo "installing:$missing" >&2
    # shellcheck disable=SC2086
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -q && apt-get install -q -y --no-install-recommends $missing" >&2
fi
exec python3 -B instructions.py "$@"
