#!/bin/sh
# Measures how cost grows with the number of routes, of keys, and of tokens that are remembered. Doorward alone.
#
#   benches/growth.sh                         all three
#   benches/growth.sh --tokens 100 --tokens 1000
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin"
export PATH
exec python3 growth.py "$@"
