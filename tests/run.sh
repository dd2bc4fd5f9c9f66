#!/usr/bin/env bash
# Everything that says whether Doorward is well: format, lints, tests, documentation, fuzz targets, real clients and applications.
#
# Runs on a fresh Debian machine that has Rust and Python, and installs what else it needs. Nothing is written beside the sources:
# builds and the Python environment are kept in ${XDG_CACHE_HOME:-~/.cache}/doorward. Arguments are passed on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/doorward"
venv="$cache/venv"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
mkdir -p "$cache"
SECONDS=0

section() { printf '\n==== %s (%d:%02d) ====\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# Names of programs and of the Debian packages that hold them; asks apt only for what is missing.
need_programs() {
    local missing=()
    command -v curl >/dev/null || missing+=(curl)
    command -v slowhttptest >/dev/null || missing+=(slowhttptest)
    command -v python3 >/dev/null || missing+=(python3)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v htpasswd >/dev/null || missing+=(apache2-utils)
    # Of the languages in docs/clients those that are small; programs of the others are run where the language is.
    command -v php >/dev/null || missing+=(php-cli)
    # Issuers from npm want node 20; with an older one their tests are skipped, and say so.
    { command -v node && command -v npm; } >/dev/null || missing+=(nodejs npm)
    command -v redis-server >/dev/null || missing+=(redis-server)
    { command -v mariadbd || [ -x /usr/sbin/mariadbd ]; } >/dev/null || missing+=(mariadb-server)
    { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || missing+=(postgresql)
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
    # For the benchmarks: what counts, what loads, and whom to compare with.
    command -v valgrind >/dev/null || missing+=(valgrind)
    { command -v nginx || [ -x /usr/sbin/nginx ]; } >/dev/null || missing+=(nginx-light)
    { command -v haproxy || [ -x /usr/sbin/haproxy ]; } >/dev/null || missing+=(haproxy)
    command -v wrk >/dev/null || missing+=(wrk)
    command -v h2load >/dev/null || missing+=(nghttp2-client)
    [ "${#missing[@]}" -eq 0 ] && return 0
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "installing: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    # RUNLEVEL=1: none of them is started as a service.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_python() {
    local wanted="tests/e2e/requirements.txt"
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        echo "making $venv"
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --requirement "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
}

section "what is needed"
command -v cargo >/dev/null || { echo "cargo is not here: install Rust first (https://rustup.rs)" >&2; exit 1; }
need_programs
need_python
cargo --version
"$venv/bin/python" --version

section "format"
cargo fmt --check

section "lints"
cargo clippy --all-targets --locked -- -D warnings

section "databases"
# Servers of this run alone: another one may be going on beside it.
export DOORWARD_SERVICES="$cache/services.$$"
trap 'tests/services.sh stop; rm -rf "$DOORWARD_SERVICES"' EXIT
services="$(tests/services.sh start)"
eval "$services"

section "tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --no-fail-fast
else
    cargo test --locked --no-fail-fast
fi

section "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

if [ -f fuzz/Cargo.toml ]; then
    section "fuzz targets compile"
    CARGO_TARGET_DIR="$CARGO_TARGET_DIR/fuzz" cargo check --manifest-path fuzz/Cargo.toml
fi

section "real clients and applications"
cargo build --locked
DOORWARD_BIN="$CARGO_TARGET_DIR/debug/doorward" "$venv/bin/python" -m pytest -c tests/e2e/pytest.ini --rootdir tests/e2e tests/e2e "$@"

section "benchmarks: that they run"
cargo bench --profile dev --locked --bench times -- --test
cargo bench --profile dev --locked --bench allocations
python3 -B benches/shape.py --doorward "$CARGO_TARGET_DIR/debug/doorward"
python3 -B benches/training.py --doorward "$CARGO_TARGET_DIR/debug/doorward" --shape

section "instructions a request"
cargo build --profile gate --locked
benches/instructions.sh --doorward "$CARGO_TARGET_DIR/gate/doorward"

section "all well"
printf 'format, lints, tests, documentation and %d files of end-to-end tests passed in %d:%02d\n' "$(find tests/e2e -name 'test_*.py' | wc -l)" $((SECONDS / 60)) $((SECONDS % 60))
