#!/usr/bin/env bash
# Everything that has to pass before a change lands; CI runs exactly this. Works from any directory.
#
# Setup, format, lints, all tests, documentation, in this order; stops at the first that fails and says what to do.
# It never changes a source file and leaves nothing running.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# nginx is an origin of the tests, and lives where only root looks.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"
if [[ -t 1 ]]; then export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
began=$SECONDS
rows=()
counts='none ran'
# What is tested has everything in it that can be.
features=minify

# step NAME REMEDY COMMAND...
step() {
    local name=$1 remedy=$2 from=$SECONDS status=0
    printf '\n==> %s\n' "$name"
    "${@:3}" || status=$?
    rows+=("$(printf '%-8s %5ds  %s' "$name" $((SECONDS - from)) "$([[ $status == 0 ]] && echo ok || echo FAILED)")")
    if [[ $status != 0 ]]; then
        summary "FAILED at $name (exit $status)" "$remedy"
        exit 1
    fi
}

summary() { # summary RESULT [REMEDY]
    printf '\n==> summary\n'
    printf '%s\n' "${rows[@]}"
    printf 'in all   %5ds\n' $((SECONDS - began))
    printf 'result: %s\n' "$1"
    if [[ -n ${2-} ]]; then printf 'what to do: %s\n' "$2"; fi
    printf 'tests: %s\n' "$counts"
}

# Runs all tests; nextest when it is there, because it ends a test that hangs and tells slow ones.
tests() {
    local status=0
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --features "$features" --no-fail-fast 2>&1 | tee "$log" || status=$?
    else
        echo 'cargo-nextest is not here: a test that hangs is ended only with the whole run (45 minutes)'
        # In the foreground Ctrl-C reaches the tests; without a terminal their whole group is ended in the end.
        local foreground=()
        if [[ -t 0 ]]; then foreground=(--foreground); fi
        timeout "${foreground[@]}" --kill-after=10s 45m \
            cargo test --locked --features "$features" --no-fail-fast --lib --bins --tests 2>&1 | tee "$log" || status=$?
    fi
    counts=$(count <"$log")
    if [[ $status == 0 && $counts == '0 passed'* ]]; then
        echo 'no test ran'
        return 1
    fi
    return "$status"
}

# The numbers of nextest's summary line or of cargo test's results, as `N passed, N failed, N skipped`.
count() {
    sed 's/\x1b\[[0-9;]*m//g' | awk '
        # "Summary [ 1.2s] 10 tests run: 8 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
        # "test result: ok. 8 passed; 1 failed; 2 ignored; 0 measured; ..."
        /^ *Summary \[/ || /^test result: / {
            for (i = 2; i <= NF; i++) {
                word = $i
                gsub(/[,;]/, "", word)
                if (word == "passed") passed += $(i - 1)
                if (word == "failed" || word == "timed") failed += $(i - 1)
                if (word == "skipped" || word == "ignored") skipped += $(i - 1)
            }
        }
        END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }'
}

# With everything that can be built in, and as it is built without asking for anything.
lints() {
    cargo clippy --all-targets --locked --features "$features" -- -D warnings &&
        cargo clippy --locked -- -D warnings
}

docs() { RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --locked; }

step setup 'see above; what it needs is listed at the top of scripts/setup.sh' scripts/setup.sh
step format 'run: cargo fmt; then look at what it changed' cargo fmt --check
step lints 'mend what is said above; a lint that is wrong here is allowed on its line, with a reason' \
    lints
step tests 'run one again with: cargo test --locked --features minify NAME; a failed story prints what the proxy logged' tests
step docs 'mend the link or the comment that is named above' docs
summary ok
