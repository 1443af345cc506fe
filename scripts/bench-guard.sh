#!/usr/bin/env bash
# Whether a request of the express lane takes more instructions than it did: counted, so that no noise can trip it.
#
#   scripts/bench-guard.sh            compares with benches/guard.txt; more than 3 % above it in a scene: exit 1
#   scripts/bench-guard.sh --keep     writes what was counted there, for a change that is meant or is better
#   scripts/bench-guard.sh --strict   fails too where nothing can be compared: another compiler or processor
#
# To be run after a change to the lane or to what it asks (wire/, cache/, route/, gateway/express/), before it lands. It
# builds with the release profile, which takes minutes, so scripts/test.sh does not call it; the counting takes half a
# minute. Needs valgrind (scripts/setup.sh --bench). It counts a scene with so many requests and with twice as many: the
# difference is free of the start. benches/guard.rs is what is counted.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
kept=benches/guard.txt
times=2000 # requests, or groups of those that come together
bound=3    # percent

say() { printf 'bench-guard: %s\n' "$*"; }
fail() {
    say "$@" >&2
    exit 1
}

keep='' strict=''
case "${1-}" in
    '') ;;
    --keep) keep=yes ;;
    --strict) strict=yes ;;
    *)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
        [[ ${1-} == -h || ${1-} == --help ]] && exit 0
        exit 2
        ;;
esac
[[ $# -le 1 ]] || fail 'it takes one option at most'
command -v valgrind >/dev/null || fail 'valgrind is missing. Get it with: scripts/setup.sh --bench'

# What the number of instructions depends on beside the code: who translated it, and which of the ways that crates and
# the C library have ready for a processor are taken. valgrind knows none beyond AVX2, so no others count.
circumstances() {
    local flags=() flag
    for flag in sse4_2 avx avx2 bmi1 bmi2 popcnt erms fsrm; do
        if grep -qwm1 "$flag" /proc/cpuinfo 2>/dev/null; then flags+=("$flag"); fi
    done
    rustc -vV | sed -n 's/^release: /# rustc: /p; s/^LLVM version: /# LLVM: /p; s/^host: /# target: /p'
    printf '# processor: %s\n' "${flags[*]:-unknown}"
    printf '# C library: %s\n' "$(getconf GNU_LIBC_VERSION 2>/dev/null || echo unknown)"
    printf '# valgrind: %s\n' "$(valgrind --version)"
}
here=$(circumstances)
there=$(sed -n '/^# [A-Za-z ]*: /p' "$kept" 2>/dev/null || true)
if [[ -z $keep && $here != "$there" ]]; then
    say "cannot compare: $kept was counted elsewhere (<), and here (>) the same code has other instructions."
    diff <(printf '%s\n' "$there") <(printf '%s\n' "$here") || true
    say 'To compare a change here, count the code without it first: scripts/bench-guard.sh --keep'
    [[ -z $strict ]] || exit 1
    exit 0
fi

say 'building, which takes minutes the first time'
built=$(cargo bench --locked --bench guard --no-run --quiet --message-format=json |
    sed -n 's/.*"name":"guard".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[[ -x $built ]] || fail 'the build gave no program; see above'

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# count SCENE TIMES: all instructions of a run.
count() {
    # Without anybody's environment: it is copied at the start, and its length moves what is on the stack.
    env -i "$(command -v valgrind)" --tool=callgrind --callgrind-out-file="$folder/out" "$built" "$1" "$2" \
        >"$folder/said" 2>&1 || fail "$1 did not run: $(tail -n 5 "$folder/said")"
    sed -n 's/^summary: //p;s/^totals: //p' "$folder/out" | head -n 1
}

rows=()
"$built" --list >"$folder/scenes"
while read -r scene together; do
    once=$(count "$scene" "$times")
    twice=$(count "$scene" $((2 * times)))
    rows+=("$scene $(((twice - once + times * together / 2) / (times * together)))")
done <"$folder/scenes"

if [[ -n $keep ]]; then
    {
        printf '# Instructions of one request in the express lane, by scene of benches/scenes. Written by\n'
        printf '# scripts/bench-guard.sh --keep; holds for what is named here and is compared nowhere else.\n'
        printf '%s\n' "$here" "${rows[@]}"
    } >"$kept"
    say "kept in $kept:"
    printf '%s\n' "${rows[@]}"
    exit 0
fi

printf '%s\n' "${rows[@]}" | awk -v bound="$bound" -v kept="$kept" '
    BEGIN { while ((getline line < kept) > 0) if (line !~ /^#/) { split(line, row, " "); was[row[1]] = row[2] } }
    {
        seen[$1]
        if (!($1 in was)) { printf "%-18s %7d  new: keep it with --keep\n", $1, $2; next }
        change = 100 * ($2 - was[$1]) / was[$1]
        verdict = "as before"
        if (change > bound) { verdict = "MORE THAN BEFORE"; bad = 1 }
        if (change < -bound) { verdict = "better: keep it with --keep" }
        printf "%-18s %7d  %7d before  %+6.1f %%  %s\n", $1, $2, was[$1], change, verdict
    }
    END {
        for (scene in was) if (!(scene in seen)) { printf "%-18s is kept and not there any more: --keep\n", scene; bad = 1 }
        if (bad) {
            print "bench-guard: a request got dearer. Mend it, or say in the commit why it is worth that, and --keep"
        }
        exit bad
    }'
