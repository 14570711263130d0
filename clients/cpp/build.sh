#!/usr/bin/env bash
# Builds the client, its example, its tests and its conformance runner into build/. What it needs of Debian it installs,
# where it may; elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "$0")"

packages=(g++ cmake make pkg-config libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libgtest-dev clang-format)
if ! pkg-config --exists grpc++ protobuf gtest || ! type -P protoc grpc_cpp_plugin clang-format >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "needed: ${packages[*]} (Debian's names); install them and build again" >&2
        exit 1
    fi
    install=(apt-get install --yes --quiet --no-install-recommends "${packages[@]}")
    export DEBIAN_FRONTEND=noninteractive
    # A bare image has no lists of packages, or old ones.
    "${install[@]}" || { apt-get update --quiet && "${install[@]}"; }
fi

cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_COMPILE_WARNING_AS_ERROR=ON
cmake --build build --parallel 2
