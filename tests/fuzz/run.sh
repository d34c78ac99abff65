#!/bin/sh
# Fuzzes the request parser and the CLI's decoder, each for so many seconds: run.sh SECONDS.
#
# On a stable toolchain: of libFuzzer's instruments all but the sanitizers are there. Each begins with its folder of
# corpus/ and puts what is new into target/fuzz/new; with KEEP=1 what of it reaches new code is added to corpus/.
# What fails lies in target/fuzz/failed: mend it, and put it into corpus/, which `cargo test` goes through.
set -eu

seconds=$1
fuzz=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$fuzz")")
target=${CARGO_TARGET_DIR:-$root/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
for part in inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -Cllvm-args=-sanitizer-coverage-$part"
done
# With a target of its own the flags leave build scripts alone.
RUSTFLAGS=$coverage cargo build --locked --manifest-path "$fuzz/Cargo.toml" --target "$host" --target-dir "$target"

for name in parse decode; do
    new=$target/new/$name
    mkdir -p "$new" "$target/failed"
    fuzzer=$target/$host/debug/$name
    seeds=$fuzz/corpus/$name
    [ "$name" = parse ] || seeds="$seeds $root/shared/src/cli/golden"
    # shellcheck disable=SC2086 # the seeds are several
    "$fuzzer" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -artifact_prefix="$target/failed/$name-" "$new" $seeds
    echo "$name: nothing failed in $seconds s, $(find "$new" -type f | wc -l) new inputs"
    [ -z "${KEEP:-}" ] || "$fuzzer" -set_cover_merge=1 -verbosity=0 "$fuzz/corpus/$name" "$new"
done
