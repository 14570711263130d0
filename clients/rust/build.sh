#!/usr/bin/env bash
# Builds at the versions of Cargo.lock; leaves build/runner and build/market_maker.
set -euo pipefail
cd "$(dirname "$0")"

cargo build --quiet --locked --jobs 2 --release --workspace --exclude generate --examples --bins
mkdir -p build
ln -sf ../target/release/conformance build/runner
ln -sf ../target/release/examples/market_maker build/market_maker
