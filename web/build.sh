#!/bin/sh
# Fetches the pinned page assets with npm's ordinary client and keeps the few files that the pages use in web/vendor.
set -eu
cd "$(dirname "$0")"
# package, a file of it that a page loads, and its name here
ASSETS="htmx.org dist/htmx.min.js htmx.min.js
idiomorph dist/idiomorph-ext.min.js idiomorph.min.js
@xterm/xterm lib/xterm.js xterm.min.js
@xterm/xterm css/xterm.css xterm.css
@xterm/addon-fit lib/addon-fit.js xterm-fit.min.js"

pinned() { sed -n "s|.*\"$1\": \"\(.*\)\".*|\1|p" package.json; }

wanted=$(echo "$ASSETS" | while read -r package _file _name; do echo "$package $(pinned "$package")"; done)
[ "$(cat vendor/version 2>/dev/null)" = "$wanted" ] && exit 0
command -v npm >/dev/null 2>&1 || { echo "web: npm is missing; the pages work, but do not refresh by themselves"; exit 0; }
draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT
mkdir -p vendor
echo "$ASSETS" | while read -r package file name; do
    version=$(pinned "$package")
    echo "web: fetching $package $version"
    mkdir "$draft/$name"
    (cd "$draft/$name" && npm pack --loglevel=error "$package@$version" >/dev/null </dev/null && tar -xzf ./*.tgz) || {
        echo "web: npm could not fetch $package $version; what it said stands above. Look at npm's registry and proxy settings." >&2
        exit 1
    }
    cp "$draft/$name/package/$file" "vendor/$name"
    cp "$draft/$name/package/LICENSE" "vendor/${name%%.*}.LICENSE"
done
echo "$wanted" >vendor/version # last: what says that all is there
