#!/usr/bin/env bash
# Writes src/gen from proto/, or into the folder that is named; with the protoc of grpcio-tools and package-lock.json's plugin.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-../../.venv/bin/python}
out=${1:-src/gen}
[ -x node_modules/.bin/protoc-gen-es ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
rm -rf "$out"
mkdir -p "$out"
"$python" -m grpc_tools.protoc --proto_path=../../proto \
    --plugin=protoc-gen-es=node_modules/.bin/protoc-gen-es --es_out=target=ts,import_extension=js:"$out" \
    ../../proto/brokergate/v1/*.proto
