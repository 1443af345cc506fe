#!/usr/bin/env bash
# Everything that has to pass before a change lands; CI runs exactly this. Works from any directory.
#
# Setup, format, lints, all tests, those of the cache once more without the express lane, documentation, in this order;
# stops at the first that fails and says what to do.
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
# What is counted so far: passed, failed, skipped.
totals=(0 0 0)
# What is tested has everything in it that can be.
features=minify,redis-tls,redis-cluster,otlp

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
    if cargo nextest --version >/dev/null 2>&1; then
        counted cargo nextest run --locked --features "$features" --no-fail-fast
    else
        echo 'cargo-nextest is not here: a test that hangs is ended only with the whole run (45 minutes)'
        # In the foreground Ctrl-C reaches the tests; without a terminal their whole group is ended in the end.
        local foreground=()
        if [[ -t 0 ]]; then foreground=(--foreground); fi
        counted timeout "${foreground[@]}" --kill-after=10s 45m \
            cargo test --locked --features "$features" --no-fail-fast --lib --bins --tests
    fi
}

# The stories that meet the cache once more, with the express lane off: about a minute. What has nothing to do with lanes
# (codings read by strangers, how much memory there is, busy threads) takes half of their time and is left out.
one_lane() {
    local -x TIDEGATE_EXPRESS_LANE=off
    local chosen=yes
    local modules='cache|cache_told|compress|purging|front|caps|half_close|access_log|limits_per_client|split|slow'
    if cargo nextest --version >/dev/null 2>&1; then
        counted cargo nextest run --locked --features "$features" --no-fail-fast -E "kind(test) & test(/^($modules)::/) \
            - test(/^(cache::memory|compress::strangers|compress::options)::/)"
    else
        local words=()
        IFS='|' read -ra words <<<"$modules"
        counted timeout --kill-after=10s 10m cargo test --locked --features "$features" --no-fail-fast --test integration -- \
            "${words[@]/%/::}" --skip lanes:: --skip cache::memory --skip compress::strangers --skip compress::options
    fi
}

# Runs a command that runs tests, and adds what it tells to what was counted before.
counted() {
    local status=0 sums
    "$@" 2>&1 | tee "$log" || status=$?
    read -ra sums < <(count <"$log")
    if [[ -n ${chosen-} ]]; then sums[2]=0; fi # the others were not asked for
    for at in 0 1 2; do totals[at]=$((totals[at] + sums[at])); done
    counts="${totals[0]} passed, ${totals[1]} failed, ${totals[2]} skipped"
    if [[ $status == 0 && ${sums[0]} == 0 ]]; then
        echo 'no test ran'
        return 1
    fi
    return "$status"
}

# The numbers of nextest's summary line or of cargo test's results: passed, failed, skipped.
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
        END { printf "%d %d %d\n", passed, failed, skipped }'
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
step tests 'run one again with: cargo test --locked --features minify,redis-tls,redis-cluster,otlp NAME; a failed story prints what the proxy logged' tests
step one-lane 'run one again with: TIDEGATE_EXPRESS_LANE=off cargo test --locked --features minify,redis-tls,redis-cluster,otlp NAME' one_lane
step docs 'mend the link or the comment that is named above' docs
summary ok
