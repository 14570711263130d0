#!/usr/bin/env bash
# Writes src/gen from proto/, or into the folder that is named; with the protoc of grpcio-tools and the crate `generate`.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-../../.venv/bin/python}
out=$(realpath -m "${1:-src/gen}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m grpc_tools.protoc --proto_path=../../proto --include_source_info --include_imports \
    --descriptor_set_out="$folder/descriptors" ../../proto/brokergate/v1/*.proto
cargo run --quiet --locked --jobs 2 --release --package generate -- "$folder/descriptors" "$folder"
rustfmt --edition 2024 "$folder/brokergate.v1.rs"
mkdir -p "$out"
cp "$folder/brokergate.v1.rs" "$out/"
