#!/usr/bin/env bash
# Fuzzes the parsers of bytes from outside for as long as asked, two targets at a time.
#
#   scripts/fuzz.sh 10          every target of tests/fuzz/ for 10 minutes
#   scripts/fuzz.sh 10 head     one of them
#
# Coverage-guided (libFuzzer) on the stable toolchain; needs a C++ compiler beside Rust. What it learns stays in
# target/fuzz/corpus/ and is where the next run begins; what breaks a promise is put into target/fuzz/found/. It never
# changes a source file: keeping a seed is up to who reads what was found.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
targets=()
for seeds in tests/fuzz/*/; do
    name=$(basename "$seeds")
    if [[ -e tests/fuzz/$name.rs ]]; then targets+=("$name"); fi
done
usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
    exit 2
}
[[ ${1-} =~ ^[1-9][0-9]*$ && $# -le 2 ]] || usage
minutes=$1
if [[ $# == 2 ]]; then
    [[ " ${targets[*]} " == *" $2 "* ]] || usage
    targets=("$2")
fi

# Counters and comparisons for libFuzzer: the compiler's own pass, which stable Rust has too.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares'
nice -n 10 cargo build --locked --quiet -p tidegate-fuzz --profile fuzz --target "$host" --target-dir target/fuzz
program=$PWD/target/fuzz/$host/fuzz/tidegate-fuzz

run() { # run TARGET
    local corpus=target/fuzz/corpus/$1 log=target/fuzz/$1.log status=0
    mkdir -p "$corpus" target/fuzz/found
    TIDEGATE_FUZZ_TARGET=$1 TIDEGATE_FUZZ_SEEDS=$corpus nice -n 15 "$program" "$corpus" \
        -max_total_time=$((minutes * 60)) -dict=tests/fuzz/tokens.dict -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="target/fuzz/found/$1-" -print_final_stats=1 >"$log" 2>&1 || status=$?
    awk -v target="$1" '
        /number_of_executed_units/ { runs = $2 }
        / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "corp:") corp = $(i + 1) } }
        END { printf "%-8s %12d executions, %5d edges, corpus %s", target, runs, cov, corp }' "$log"
    if [[ $status == 0 ]]; then
        printf ', nothing found\n'
    else
        printf ', FOUND: %s\n' "$log"
        return 1
    fi
}
export -f run
export minutes program
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -euo pipefail -c 'run {}'
