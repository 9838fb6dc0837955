#!/usr/bin/env bash
# setup.sh DIR: puts published clients of Mesos into DIR: the Python packages in requirements.txt, and the npm packages in package.json.
# For tests only. Needs python3 with venv and headers, a C compiler, node and npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: setup.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
wanted=$(cat "$here"/{setup.sh,requirements.txt,package.json})
[ "$wanted" = "$(cat "$dir/ready" 2>/dev/null)" ] && exit 0
rm -rf "$dir"/{ready,venv,node_modules}

python3 -m venv "$dir/venv"
bin=$dir/venv/bin
# The C that http-parser is published with was generated for Python 3.7; it is generated anew from the same source.
"$bin/pip" install -q setuptools==65.7.0 wheel cython==0.29.37
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/pip" download -q --no-deps --no-build-isolation --no-binary http-parser -d "$work" http-parser==0.9.0
tar -xzf "$work"/http-parser-0.9.0.tar.gz -C "$work"
"$bin/cython" "$work"/http-parser-0.9.0/http_parser/parser.pyx 2>"$work/cython.log" || { cat "$work/cython.log" >&2; exit 1; }
"$bin/pip" install -q --no-build-isolation "$work/http-parser-0.9.0"
"$bin/pip" install -q -r "$here/requirements.txt"

cp "$here/package.json" "$dir/package.json"
npm install --prefix "$dir" --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error
printf '%s\n' "$wanted" >"$dir/ready"
echo "ready: $dir"
