#!/bin/sh
# Measures what a proxy costs when nothing is asked: memory of each idle TLS connection, and the time from its start to the first answer.
#
#   benches/footprint.sh                      1,000 and 10,000 connections, 15 starts
#   benches/footprint.sh --connections 100 --starts 1
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin"
export PATH
exec python3 -B footprint.py "$@"
