#!/bin/sh
# Copies the browser files we serve ourselves (no CDN) out of their npm packages, by name and exact version.
# Run it to raise a version or to see that nobody edited a vendored file: `ops/vendor.sh --check`.
set -eu

# Exact versions: under an old Node, a bare name silently resolves to an older release (redoc 2 instead of 3).
REDOC=redoc@3.0.1
TOKENS=@digital-go-jp/design-tokens@1.1.9
AXE=axe-core@4.14.1

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
served=services/dashboard/static/vendor
tests=tests/browser/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ "${1:-}" = --check ]; then target=$work/out; else target=$root; fi

# unpack NAME@VERSION: leaves the package's files in $work/package
unpack() {
    rm -rf "$work/package"
    tarball=$(cd "$work" && npm pack --silent "$1")
    tar -xzf "$work/$tarball" -C "$work"
    got=$(node -p "const p = require('$work/package/package.json'); p.name + '@' + p.version")
    [ "$got" = "$1" ] || { echo "vendor: asked for $1, got $got" >&2; exit 1; }
}

# take FILE_IN_PACKAGE DESTINATION: one file, readable by all, writable by its owner
take() {
    mkdir -p "$(dirname "$target/$2")"
    install -m 0644 "$work/package/$1" "$target/$2"
}

unpack "$REDOC"
take bundles/redoc.standalone.js "$served/redoc/redoc.standalone.js"
take LICENSE "$served/redoc/LICENSE"
unpack "$TOKENS"
take dist/tokens-simple.css "$served/design-tokens/tokens.css"
take LICENSE "$served/design-tokens/LICENSE"
unpack "$AXE"
take axe.min.js "$tests/axe/axe.min.js"
take LICENSE "$tests/axe/LICENSE"

printf '%s MIT\n%s MIT\n' "$REDOC" "$TOKENS" > "$target/$served/VERSIONS"
printf '%s MPL-2.0\n' "$AXE" > "$target/$tests/VERSIONS"
for folder in "$served" "$tests"; do
    (cd "$target/$folder" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS)
done

if [ "${1:-}" = --check ]; then
    diff -r "$target/$served" "$root/$served"
    diff -r "$target/$tests" "$root/$tests"
    echo "vendor: every file is as published"
fi
