#!/usr/bin/env bash
# Builds build/brokergate-web, with the modules that go.sum pins.
set -euo pipefail
cd "$(dirname "$0")"
go build -mod=readonly -buildvcs=false -trimpath -o build/brokergate-web .
