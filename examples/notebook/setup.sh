#!/usr/bin/env bash
# setup.sh DIR: puts what the notebook needs to run into DIR. Needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: setup.sh DIR}
mkdir -p "$dir"
cmp -s "$here/requirements.txt" "$dir/ready" && exit 0
python3 -m venv --clear "$dir/venv"
"$dir/venv/bin/pip" install -q -r "$here/requirements.txt"
cp "$here/requirements.txt" "$dir/ready"
echo "ready: $dir"
