#!/bin/sh
# Pins every dependency, with the hashes of its files:
#
#   requirements.lock        what runs: the appliance on one machine or scaled out
#   requirements-build.lock  what makes the wheel and the editable install
#   requirements-dev.lock    all of it, and what tests and checks
#
# No lock names a host: pip's own configuration says where packages come from. `UPGRADE=1 make lock` takes the newest
# versions that pyproject.toml allows; without it only what pyproject.toml has changed moves.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${VENV:-.venv}/bin/python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install -qq --disable-pip-version-check uv

# Extras are kept: pip refuses a hashed lock in which one package asks for `pydantic[email]` and the lock says `pydantic`.
compile() {
    "$scratch/venv/bin/uv" pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --universal --python-version 3.11 --generate-hashes --no-strip-extras ${UPGRADE:+--upgrade} "$@"
}

compile --extra scale-out pyproject.toml -o requirements.lock
compile --all-extras pyproject.toml -c requirements.lock -o requirements-dev.lock
# And a package that is locked with an extra is locked without it, too: pip takes the two for different ones, and would
# choose the version of the other by itself, for which there is no hash.
for lock in requirements.lock requirements-dev.lock; do
    awk '
        /^[A-Za-z0-9]/ { bare = $0 ~ /^[A-Za-z0-9._-]+\[/ }
        { whole = whole $0 "\n" }
        bare { line = $0; sub(/\[[^]]*\]/, "", line); more = more line "\n" }
        END { printf "%s%s", whole, more }' "$lock" >"$scratch/lock"
    cat "$scratch/lock" >"$lock"
done
printf 'hatchling\neditables\n' | compile - -c requirements-dev.lock -o requirements-build.lock
for lock in requirements.lock requirements-build.lock requirements-dev.lock; do
    echo "$lock: $(grep -c '==' $lock) packages"
done
