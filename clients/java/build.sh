#!/usr/bin/env bash
# Fetches what pom.xml pins, generates, compiles, and leaves build/runner and build/market_maker.
set -euo pipefail
cd "$(dirname "$0")"
mvn --quiet --batch-mode --no-transfer-progress test-compile dependency:build-classpath -Dmdep.outputFile=build/classpath

start() { # NAME CLASS
    printf '#!/bin/sh\nhere=$(cd "$(dirname "$0")" && pwd)\n' > "build/$1"
    printf 'exec java -Xmx256m -XX:+UseSerialGC -cp "$here/../target/classes:$here/../target/test-classes:$(cat "$here/classpath")" %s "$@"\n' "$2" >> "build/$1"
    chmod +x "build/$1"
}
start runner brokergate.conformance.Runner
start market_maker brokergate.examples.MarketMaker
