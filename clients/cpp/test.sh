#!/usr/bin/env bash
# The formatter, the build with warnings as errors, the unit tests, and a program of somebody else's that uses the installed
# package.
set -euo pipefail
cd "$(dirname "$0")"

find include src examples tests conformance -name '*.?pp' -print0 | xargs -0 clang-format --dry-run -Werror

./build.sh
ctest --test-dir build --output-on-failure

rm -rf build/installed build/elsewhere
cmake --install build --prefix "$PWD/build/installed" >/dev/null
cmake -S tests/package -B build/elsewhere -DCMAKE_PREFIX_PATH="$PWD/build/installed"
cmake --build build/elsewhere
./build/elsewhere/elsewhere
