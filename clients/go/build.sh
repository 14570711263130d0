#!/usr/bin/env bash
# Builds the conformance runner and the market maker into build/, with the modules that go.sum pins.
set -euo pipefail
cd "$(dirname "$0")"
go build -mod=readonly -buildvcs=false -o build/runner ./conformance
go build -mod=readonly -buildvcs=false -o build/market_maker ./examples/market_maker
