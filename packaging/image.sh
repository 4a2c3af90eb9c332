#!/bin/sh
# Builds the container image, starts it once, asks for its health and stops it.
#
# With a Docker or Podman engine at hand that is all. Without one the image is made by buildah, on a base of this
# host's own release from this host's own package sources, with storage of its own that is removed at the end; the
# image is then left in dist/ as an archive for `docker load`.
#
#   TAG=pxeapp:dev make image
set -eu
cd "$(dirname "$0")/.."

tag=${TAG:-pxeapp:$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
python=${VENV:-.venv}/bin/python
work=$PWD/.cache/image # what is kept is the base; it spares the next build a minute
base_days=7
ready_within=90

say() { printf 'image: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

scratch=$(mktemp -d /var/tmp/pxeapp-image.XXXXXX)
running=
cleanup() {
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    # The store's files belong to other users where we are not root.
    if [ "$(id -u)" = 0 ]; then rm -rf "$scratch"; else buildah unshare rm -rf "$scratch"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

wait_for_health() { # command...
    waited=0
    until answer=$("$@" 2>&1); do
        [ $waited -lt $ready_within ] || return 1
        sleep 1
        waited=$((waited + 1))
    done
    say "healthy after $waited s: $answer"
}

with_engine() {
    engine=$1
    say "building $tag with $engine"
    pip_conf=$("$python" -m pip config debug 2>/dev/null | sed -n 's/^ *\(.*pip\.conf\), exists: True$/\1/p' | tail -1)
    "$engine" build ${pip_conf:+--secret "id=pip,src=$pip_conf"} -t "$tag" . || die "$engine could not build the image."
    name=pxeapp-image-$$
    "$engine" run -d --name "$name" "$tag" >/dev/null
    trap '"$engine" rm -f "$name" >/dev/null 2>&1; cleanup' EXIT
    wait_for_health "$engine" exec "$name" python /opt/pxeapp/bin/healthcheck.py ||
        { "$engine" logs "$name"; die "the container did not become healthy within $ready_within s; its log stands above."; }
    "$engine" stop -t 30 "$name" >/dev/null
    code=$("$engine" inspect -f '{{.State.ExitCode}}' "$name")
    [ "$code" = 0 ] || die "the container ended with exit code $code when it was stopped."
    say "stopped cleanly; $tag is $("$engine" image inspect -f '{{.Size}}' "$tag" | awk '{printf "%.0f MB", $1 / 1e6}')"
}

store() { command=$1; shift; buildah --root "$scratch/store" --runroot "$scratch/run" --storage-driver vfs "$command" "$@"; }

make_base() {
    # shellcheck source=/dev/null
    . /etc/os-release
    base=$work/base-$VERSION_CODENAME.tar
    if [ -n "$(find "$base" -mtime -$base_days 2>/dev/null)" ]; then
        say "using the base of $VERSION_CODENAME made on $(date -r "$base" +%F)"
        return
    fi
    # The distribution's own sources: those of others need keys that the base does not have.
    sources=
    for file in /etc/apt/sources.list.d/"$ID".sources /etc/apt/sources.list; do
        [ ! -s "$file" ] || sources="$sources $file"
    done
    [ -n "$sources" ] || die "neither /etc/apt/sources.list.d/$ID.sources nor /etc/apt/sources.list says where packages come from."
    # Ubuntu's minbase has no apt of its own.
    say "making a base of $VERSION_CODENAME with mmdebstrap"
    mkdir -p "$work"
    # shellcheck disable=SC2086  # a list of files
    mmdebstrap --quiet --variant=minbase --include=apt,ca-certificates "$VERSION_CODENAME" "$base.new" $sources ||
        die "mmdebstrap could not make the base; what it said stands above."
    mv "$base.new" "$base"
}

with_buildah() {
    for program in buildah mmdebstrap; do
        command -v $program >/dev/null 2>&1 || die "$program is missing; run packaging/setup.sh test, or install it."
    done
    # apt in the base knows nothing of this host's proxy, if there is one. Proxy variables are in no layer.
    for scheme in http https; do
        proxy=$(apt-config shell value "Acquire::$scheme::Proxy" | sed -n "s/^value='\(.*\)'$/\1/p")
        [ -z "$proxy" ] || export "${scheme}_proxy=$proxy"
    done
    make_base
    container=$(store from scratch)
    store add --quiet "$container" "$base" / >/dev/null
    store commit --quiet --rm "$container" localhost/pxeapp-base >/dev/null

    mkdir -m 700 "$scratch/pip"
    # Each mount becomes an option; there are no spaces in them that we could keep apart.
    volumes=$("$python" packaging/host_pip.py "$scratch/pip" | sed 's/^/--volume /')
    npmrc=$HOME/.npmrc
    [ ! -f "$npmrc" ] || volumes="$volumes --volume $npmrc:/root/.npmrc:ro"
    say "building $tag with buildah (no container engine here)"
    # shellcheck disable=SC2086  # a list of options
    { store build --isolation chroot --format docker --build-arg BASE=localhost/pxeapp-base \
        --secret "id=pip,src=$scratch/pip/pip.conf" $volumes -t "localhost/$tag" . 2>"$scratch/build.err" ||
        touch "$scratch/failed"; } | sed -un 's/^\(\[[0-9/]*\] \)\?STEP \([0-9/]*: .\{1,90\}\).*/image:   \1\2/p'
    if [ -e "$scratch/failed" ]; then
        tail -40 "$scratch/build.err" >&2
        die "buildah could not build the image; what it said stands above."
    fi

    start_once
    mkdir -p dist
    archive=dist/$(echo "$tag" | tr ':/' '--').tar
    rm -f "$archive"
    store push --quiet "localhost/$tag" "docker-archive:$archive:$tag"
    say "$tag is $(store images --format '{{.Size}}' "localhost/$tag"); load it elsewhere with: docker load -i $archive"
}

start_once() {
    container=$(store from "localhost/$tag")
    # chroot isolation shares this host's network, so free ports are taken; the rest is as it will run. TFTP's own
    # port where it is free here: it proves the capability.
    # shellcheck disable=SC2046  # three numbers
    set -- $("$python" -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
ports = [one.getsockname()[1] for one in held]
try:
    socket.socket(type=socket.SOCK_DGRAM).bind(("127.0.0.1", 69))
    ports[2] = 69
except OSError:
    pass
print(*ports)')
    store config --env "PXEAPP_HTTP_LISTEN=127.0.0.1:$1" --env "PXEAPP_NODE_LISTEN=127.0.0.1:$2" \
        --env "PXEAPP_TFTP_LISTEN=127.0.0.1:$3" --env TINI_SUBREAPER=1 "$container"
    say "starting it once, as its own user"
    # The process ids are this host's too: what is written here is what gets the signal.
    store run --isolation chroot "$container" -- sh -c 'id -un; echo $$ >pid; exec tini -- pxeapp serve' >"$scratch/log" 2>&1 &
    running=$!
    wait_for_health store run --isolation chroot "$container" -- python /opt/pxeapp/bin/healthcheck.py || {
        cat "$scratch/log"
        die "it did not become healthy within $ready_within s; its log stands above."
    }
    loader=$(curl -s --max-time 20 "tftp://127.0.0.1:$3/undionly.kpxe" | wc -c)
    [ "$loader" -gt 1000 ] || { cat "$scratch/log"; die "it gave no boot program by TFTP on port $3; its log stands above."; }
    say "gave undionly.kpxe, $loader bytes, by TFTP on port $3"
    kill -TERM "$(store run --isolation chroot "$container" -- cat pid)"
    code=0
    wait "$running" || code=$?
    running=
    sed 's/^/image:   /; s/\(shown only now: \).*/\1(hidden)/' "$scratch/log"
    [ $code = 0 ] || die "it ended with exit code $code when it was stopped."
    say "stopped cleanly"
}

if docker info >/dev/null 2>&1; then
    with_engine docker
elif podman info >/dev/null 2>&1; then
    with_engine podman
else
    with_buildah
fi
