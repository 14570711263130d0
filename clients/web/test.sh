#!/usr/bin/env bash
# gofmt, go vet and the server's own tests.
set -euo pipefail
cd "$(dirname "$0")"
unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
    printf 'gofmt would change:\n%s\n' "$unformatted" >&2
    exit 1
fi
go vet -mod=readonly ./...
go test -mod=readonly -buildvcs=false -count=1 -timeout 60s .
