#!/usr/bin/env bash
# setup.sh DIR: puts published programs that read a Mesos cluster into DIR, with what they import: those for Python 3 into DIR/three, and those
# for Python 2, which few machines still have, into DIR/two. For tests only. Needs python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: setup.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
two=
for python in python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7; do
  # Some are there only by name.
  "$python" --version >/dev/null 2>&1 && two=$(command -v "$python") && break
done
wanted=$(cat "$here"/setup.sh "$here"/requirements*.txt; echo "$two")
[ "$wanted" = "$(cat "$dir/ready" 2>/dev/null)" ] && exit 0
rm -rf "$dir"/{ready,three,two}

python3 -m venv "$dir/three"
"$dir/three/bin/pip" install -q -r "$here/requirements.txt"
# Of what these declare, most is for their own tests and releases.
"$dir/three/bin/pip" install -q --no-deps avmesos-cli==1.0.0 mae==1.0.11 mexec==0.1.0
"$dir/three/bin/python" -c 'import avmesos.cli.mesos, mae, mexec.mesos'

if [ -n "$two" ]; then
  "$dir/three/bin/virtualenv" -q --no-download -p "$two" "$dir/two"
  "$dir/two/bin/pip" install -q --disable-pip-version-check -r "$here/requirements-2.txt" 2>&1 | grep -v DEPRECATION >&2 || true
  "$dir/two/bin/python" -W ignore -c 'import mesos.cli.master, nagiosplugin'
fi
printf '%s\n' "$wanted" >"$dir/ready"
echo "ready: $dir"
