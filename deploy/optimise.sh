#!/bin/sh
# Builds the release that is shipped: optimised by a profile of Doorward at work (PGO). Twice the work of a plain release build and two minutes.
#
#   deploy/optimise.sh        leaves target/optimised/doorward
#
#   1. builds a doorward that counts which ways it takes
#   2. has it live through benches/training.py: what is measured, and a gate's other days. Every answer is checked
#   3. builds the release with these counts: code that runs often is inlined and laid out together
#
# Needs, besides Rust: rustup component add llvm-tools; nginx, wrk, h2load, openssl, python3, taskset. It asks for them, and installs nothing.
# The network is asked for crates alone. It builds for the kind of machine that it runs on.
# CARGO_TARGET_DIR and RUSTFLAGS are honoured.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
export PATH

fail() { echo "optimise: $*" >&2; exit 1; }
say() { echo "optimise: $*"; }

# --- what is needed --------------------------------------------------------------------------------------------------
command -v cargo >/dev/null || fail "cargo is not here: install Rust first (https://rustup.rs)"
missing=""
for need in nginx:nginx-light wrk:wrk h2load:nghttp2-client openssl:openssl python3:python3 taskset:util-linux; do
    command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
[ -z "$missing" ] || fail "not installed:$missing (the names of Debian's packages)"
host=$(rustc -vV | sed -n 's/^host: //p')
# The one that belongs to this compiler: another may not read what it counted.
profdata="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
[ -x "$profdata" ] || fail "the compiler's llvm-profdata is not installed: rustup component add llvm-tools"

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/optimised"
target=$(cd "$target" && pwd -P)
case $target in *[[:space:]]*) fail "a blank in $target: set CARGO_TARGET_DIR to a folder without" ;; esac
folder=$target/optimised
flags=${RUSTFLAGS:-}
# Where counts go is built in; this would send them elsewhere.
unset LLVM_PROFILE_FILE

# With --target, what runs while building (macros, build scripts) does not count itself.
build() {
    RUSTFLAGS="$flags $1" CARGO_TARGET_DIR="$folder/build" cargo build --release --locked --bin doorward --target "$host"
}

# --- 1. the build that counts ------------------------------------------------------------------------------------------
say "building a doorward that counts"
build "-Cprofile-generate=$folder/counts"
cp "$folder/build/$host/release/doorward" "$folder/counting"

# --- 2. its life -------------------------------------------------------------------------------------------------------
say "training it"
rm -rf "$folder/counts"
python3 -B benches/training.py --doorward "$folder/counting"
[ -n "$(find "$folder/counts" -name '*.profraw' -size +0)" ] || fail "the training left no counts"
"$profdata" merge --output "$folder/merged.profdata" "$folder/counts"
# cargo knows a profile by its name alone: another profile needs another name.
profile=$folder/$(cksum <"$folder/merged.profdata" | cut -d ' ' -f 1).profdata
mv "$folder/merged.profdata" "$profile"

# --- 3. the release ----------------------------------------------------------------------------------------------------
say "building the release"
# What the training never ran is compiled for speed too, as without a profile.
build "-Cprofile-use=$profile -Cllvm-args=-pgso=false"
cp "$folder/build/$host/release/doorward" "$folder/doorward.new"
mv "$folder/doorward.new" "$folder/doorward"
rm -rf "$folder/counts" "$folder/counting"
say "built $folder/doorward"
