#!/bin/sh
# Fetches the pinned page assets with npm's ordinary client and keeps the few files that the pages use in web/vendor.
set -eu
cd "$(dirname "$0")"
version=$(sed -n 's/.*"htmx.org": "\(.*\)".*/\1/p' package.json)
[ -f vendor/htmx.min.js ] && [ "$(cat vendor/version 2>/dev/null)" = "$version" ] && exit 0
command -v npm >/dev/null 2>&1 || { echo "web: npm is missing; the pages work, but do not refresh by themselves"; exit 0; }
draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT
echo "web: fetching htmx $version"
(cd "$draft" && npm pack --silent "htmx.org@$version" >/dev/null && tar -xzf htmx.org-*.tgz)
mkdir -p vendor
cp "$draft/package/dist/htmx.min.js" vendor/
cp "$draft/package/LICENSE" vendor/htmx.LICENSE
echo "$version" >vendor/version
