#!/usr/bin/env bash
# Stale code, the formatter, clippy, and the tests, on a real gateway.
set -euo pipefail
cd "$(dirname "$0")"

./generate.sh build/gen
diff -r build/gen src/gen || { echo "src/gen is stale: run make generate" >&2; exit 1; }
cargo fmt --all --check
cargo clippy --quiet --locked --jobs 2 --release --workspace --all-targets -- --deny warnings
cargo test --quiet --locked --jobs 2 --release --package brokergate-client
