#!/usr/bin/env bash
# Fetches what package-lock.json names, and compiles; leaves build/runner and build/market_maker.
set -euo pipefail
cd "$(dirname "$0")"

if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi
rm -rf build/src build/conformance build/examples build/test
npm run --silent build
for program in conformance/runner examples/market_maker; do
    name=build/$(basename "$program")
    printf '#!/bin/sh\nexec node "$(dirname "$0")/%s.js" "$@"\n' "$program" > "$name"
    chmod +x "$name"
done
