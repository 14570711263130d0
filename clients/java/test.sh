#!/usr/bin/env bash
# javac with every warning an error, and the client's own tests; needs no network after build.sh.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf build/lint
mkdir -p build/lint
find src/main/java src/test/java conformance examples -name '*.java' -print0 | xargs -0 \
    javac -Xlint:all -Werror -proc:none --release 17 -d build/lint -cp "target/classes:$(cat build/classpath)"
java -Xmx256m -XX:+UseSerialGC -cp "target/classes:target/test-classes:$(cat build/classpath)" \
    org.junit.platform.console.ConsoleLauncher execute --disable-banner --details=summary \
    --scan-classpath target/test-classes --fail-if-no-tests
