#!/bin/sh
# Pins every dependency, for running, scaling out and developing, in requirements.lock. The lock names versions and
# hashes, never a host: pip's own configuration says where packages come from.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$venv/bin/uv" pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links --universal \
    --python-version 3.11 --all-extras pyproject.toml -o requirements.lock
echo "requirements.lock: $(grep -c '==' requirements.lock) packages"
