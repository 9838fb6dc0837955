#!/usr/bin/env bash
# setup.sh DIR: puts a genuine Mesos 1.11.0 (driver, master, agent) into DIR, from the published Python package mesos.scheduler.
# For tests only. Needs python3 with venv, g++, nm, and the libraries that `cargo xtask test` installs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: setup.sh DIR}
mkdir -p "$dir/lib" "$dir/launcher"
dir=$(cd "$dir" && pwd)
[ -e "$dir/ready" ] && exit 0

cd "$dir"
if [ ! -f egg/mesos/scheduler/_scheduler.so ]; then
  python3 -m venv --clear venv
  ./venv/bin/pip install -q 'setuptools==65.7.0'
  ./venv/bin/python -W ignore "$here/fetch_egg.py" mesos.scheduler 1.11.0 . >/dev/null
  python3 -m zipfile -e mesos.scheduler-1.11.0-py2.7-linux-x86_64.egg egg
  rm -r mesos.scheduler-1.11.0-py2.7-linux-x86_64.egg venv
fi
python3 "$here/stubs.py" egg/mesos/scheduler/_scheduler.so
install -m 755 "$here/launcher-mesos-containerizer" launcher/mesos-containerizer
g++ -O1 -w -std=c++14 "$here/peer.cpp" -o peer "$dir/egg/mesos/scheduler/_scheduler.so" "$dir/lib/libpystub.so" -ldl \
  -Wl,--allow-shlib-undefined -Wl,-rpath,"$dir/lib:$dir/egg/mesos/scheduler"
touch "$dir/ready"
echo "ready: $dir"
