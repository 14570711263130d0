#!/usr/bin/env bash
# Stale code, the formatter, the compiler at its strictest, and the tests, on a real gateway; build.sh has run before.
set -euo pipefail
cd "$(dirname "$0")"

./generate.sh build/gen
diff -r build/gen src/gen || { echo "src/gen is stale: run make generate" >&2; exit 1; }
npm run --silent check
node --test build/test/*.test.js
