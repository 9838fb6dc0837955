#!/usr/bin/env bash
# Puts axe-core, which looks whether a web page is accessible to everybody, into a folder: in the version
# that the page's own package.json names. Does nothing when it is there.
#
#   tests/axe/setup.sh FOLDER
set -euo pipefail

folder=$1
page=$(dirname "$0")/../../crates/webui/page
version=$(sed -n 's/.*"axe-core": "\([0-9.]*\)".*/\1/p' "$page/package.json")
have=$(sed -n 's/.*"version": "\([0-9.]*\)".*/\1/p' "$folder/node_modules/axe-core/package.json" 2>/dev/null || true)
if [ "$have" = "$version" ]; then
    exit 0
fi
mkdir -p "$folder"
npm install --prefix "$folder" --no-audit --no-fund --no-save --ignore-scripts "axe-core@$version"
