#!/usr/bin/env bash
# From a clone to a working proxy in one command: installs what building lacks, builds, and runs `tidegate demo`
# (three small app servers and the proxy in front of them). Ctrl-C ends it. Further arguments go to the demo.
#
# The demo's file, tidegate-demo.yaml, is written to the folder you are in. Nothing listens beyond this machine, and
# nothing is left running.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

"$root/scripts/setup.sh" --build
echo 'quickstart: building; the first time takes some minutes'
cargo build --release --locked --bin tidegate --manifest-path "$root/Cargo.toml"
# The program takes this shell's place, so that Ctrl-C and signals reach it directly.
exec "${CARGO_TARGET_DIR:-$root/target}/release/tidegate" demo "$@"
