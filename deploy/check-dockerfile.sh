#!/usr/bin/env bash
# Does what the Dockerfile says without a container engine, and fails where an image built from it would.
#
#   1. reads the Dockerfile: the last stage runs as a numbered user that is not root, has a health check and a stop signal,
#      and copies nothing that .dockerignore keeps out
#   2. builds with the Dockerfile's own command in a folder that holds only what it copies
#   3. checks that the program needs only libraries, in versions, that debian:bookworm-slim has
#   4. runs it as that user with a configuration that it cannot write to (in a bare root directory where this script may make one):
#      the health check passes, the stop signal ends it with 0
#
# What it cannot check: that the two base images can be had, and the apt-get lines.
# Needs: bash, Rust, curl, python3, objdump (binutils), and what deploy/optimise.sh needs unless OPTIMISE=no is set, as by --build-arg.
# CARGO_TARGET_DIR is honoured, to build faster.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "check-dockerfile: $*" >&2; exit 1; }
say() { echo "check-dockerfile: $*"; }

work=$(mktemp -d)
pid=
cleanup() {
    if [ -n "$pid" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap cleanup EXIT

# --- 1. the file itself ------------------------------------------------------------------------------------------
last_stage() { awk 'toupper($1) == "FROM" { text = "" } { text = text $0 "\n" } END { printf "%s", text }' Dockerfile; }
said() { last_stage | awk -v what="$1" 'toupper($1) == what { $1 = ""; sub(/^ /, ""); print }'; }

user=$(said USER)
[[ $user =~ ^[0-9]+:[0-9]+$ ]] || fail "USER is not numeric: '$user'"
[[ $user != 0:* && $user != *:0 ]] || fail "USER is root"
stop_signal=$(said STOPSIGNAL)
[ -n "$stop_signal" ] || fail "no STOPSIGNAL"
[ -n "$(said EXPOSE)" ] || fail "no EXPOSE"
entrypoint=$(said ENTRYPOINT | tr -d '[]",')
binary=${entrypoint%% *}
health=$(said HEALTHCHECK | sed 's/.*CMD //' | tr -d '[]",')
[[ $health == "$binary "* ]] || fail "the health check is not the program's own: '$health'"
command=$(said CMD | tr -d '[]",')
config=$(said ENV | sed -n 's/^DOORWARD_CONFIG=//p')
[ -n "$config" ] || fail "DOORWARD_CONFIG is not set"
! grep -qi '^ADD ' Dockerfile || fail "ADD fetches and unpacks; use COPY"
[ "$(grep -v '^#' .dockerignore | head -1)" = '*' ] || fail ".dockerignore does not keep everything out first"

mkdir "$work/build"
while read -r source; do
    grep -qx "!$source" .dockerignore || fail "COPY $source: .dockerignore keeps it out"
    [ -e "$source" ] || fail "COPY $source: it does not exist"
    cp -R --parents "$source" "$work/build/"
done < <(awk 'toupper($1) == "COPY" && $2 !~ /^--from/ { for (i = 2; i < NF; i++) print $i }' Dockerfile)
say "the Dockerfile says what it should: user $user, $stop_signal, health check '$health'"

# --- 2. the build ------------------------------------------------------------------------------------------------
build=$(sed -n 's/^RUN \(.*cargo build .*\)$/\1/p' Dockerfile)
[ -n "$build" ] || fail "no cargo build line"
optimise=${OPTIMISE:-$(sed -n 's/^ARG OPTIMISE=//p' Dockerfile)}
[ -n "$optimise" ] || fail "no ARG OPTIMISE"
copied=$(last_stage | sed -n 's/^COPY --from=build \/src\/\(target\/[^ ]*\) .*$/\1/p')
[ -n "$copied" ] || fail "nothing is copied from the build"
if [ -n "${CARGO_TARGET_DIR:-}" ]; then
    mkdir -p "$CARGO_TARGET_DIR"
    ln -s "$(realpath "$CARGO_TARGET_DIR")" "$work/build/target"
fi
say "running with OPTIMISE=$optimise: $build"
(cd "$work/build" && unset CARGO_TARGET_DIR && OPTIMISE=$optimise nice bash -c "$build")
built=$work/build/$copied
[ -x "$built" ] || fail "the build leaves no $copied"

# --- 3. the libraries ----------------------------------------------------------------------------------------------
libraries=$(ldd "$built" | awk '{ print $1 }' | xargs -n 1 basename | sort)
for library in $libraries; do
    case $library in
        linux-vdso.so.1 | ld-linux-*.so.* | libc.so.6 | libm.so.6 | libgcc_s.so.1 | libdl.so.2 | libpthread.so.0 | librt.so.1) ;;
        *) fail "the program needs $library, which debian:bookworm-slim does not have" ;;
    esac
done
newest=$(objdump -T "$built" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
[ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -1)" = GLIBC_2.36 ] ||
    fail "the program asks for $newest; bookworm has 2.36 (was it built on a newer system?)"
say "it needs only: $(echo $libraries); newest symbol version $newest"

# --- 4. a run --------------------------------------------------------------------------------------------------------
image=$work/image
settings=$(dirname "$config")
mkdir -p "$image$(dirname "$binary")" "$image$settings" "$image/var/lib/doorward" "$image/tmp"
cp "$built" "$image$binary"
if [ "$(id -u)" = 0 ]; then
    # A root directory with nothing but the program, its libraries and its configuration.
    inside=
    ldd "$built" | grep -o '/[^ ]*' | while read -r library; do cp -L --parents "$library" "$image/"; done
    become() { exec env -i DOORWARD_CONFIG="$config" "$(command -v chroot)" --userspec="$user" --groups= "$image" "$@"; }
    say "running it as $user in a bare root directory"
else
    inside=$image
    become() { local program=$1; shift; exec env -i DOORWARD_CONFIG="$image$config" "$image$program" "$@"; }
    say "running it as $(id -un); as root this would be $user in a bare root directory"
fi
as_user() { (become "$@"); }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
https=$(free_port)
"$built" certs --out "$image$settings/certs" --name localhost >/dev/null
cat >"$image$config" <<CONFIG
[listen]
https = ["127.0.0.1:$https"]
admin = "127.0.0.1:$(free_port)"
[tls]
certificate = "certs/server.crt"
private_key = "certs/server.key"
[upstream]
url = "http://127.0.0.1:9"
[identity]
signature = []
[store]
url = "sqlite:$inside/var/lib/doorward/doorward.db"
[auth.staff.basic]
users = "store"
[[route]]
path = "/**"
accept = ["staff"]
CONFIG
if [ "$(id -u)" = 0 ]; then
    chmod 755 "$work" "$image"
    chmod 1777 "$image/tmp"
    chown "$user" "$image/var/lib/doorward"
    chgrp -R "${user#*:}" "$image$settings"
fi
find "$image$settings" -type f -exec chmod 440 {} +
find "$image$settings" -type d -exec chmod 550 {} +

become "$binary" $command >"$work/log" 2>&1 &
pid=$!
for _ in $(seq 100); do
    if as_user $health >/dev/null 2>&1; then break; fi
    kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; fail "it ended at once"; }
    sleep 0.1
done
as_user $health >/dev/null || { cat "$work/log" >&2; fail "the health check does not pass"; }
status=$(curl --silent --output /dev/null --write-out '%{http_code}' --cacert "$image$settings/certs/ca.crt" "https://localhost:$https/") || true
[ "$status" = 401 ] || fail "a request without credentials was answered $status, not 401"
[ -s "$image/var/lib/doorward/doorward.db" ] || fail "no store was made"
kill -s "${stop_signal#SIG}" "$pid"
code=0
wait "$pid" || code=$?
pid=
[ "$code" = 0 ] || { cat "$work/log" >&2; fail "$stop_signal ended it with $code"; }
! as_user $health >/dev/null 2>&1 || fail "the health check passes although nothing runs"
say "it served, its health check passed, $stop_signal ended it with 0"
say "all is well"
