#!/bin/sh
# Installs what a target of the Makefile needs: Debian or Ubuntu packages, then the virtual environment.
# Says what it installs, asks nothing, changes nothing that is there already.
#
#   packaging/setup.sh run|demo|test
set -eu

purpose=${1:?run, demo or test}
here=$(cd "$(dirname "$0")/.." && pwd)
venv=${VENV:-$here/.venv}

# What each purpose adds to the one before it. One table, read by docs/operations.md's readers too.
RUN="dnsmasq-base nginx-light ipxe shim-signed grub-efi-amd64-signed pxelinux syslinux-common iproute2 ca-certificates"
DEMO="qemu-system-x86 qemu-utils ovmf ipxe-qemu openipmi ipmitool busybox-static cpio mtools dosfstools syslinux syslinux-efi
  extlinux grub-pc-bin grub-efi-amd64-bin grub-common curl kmod xz-utils zstd uidmap procps fdisk e2fsprogs libarchive-tools"
TEST="chromium chromium-driver postgresql redis-server shellcheck tftp-hpa atftp mmdebstrap buildah crun npm"

say() { printf 'setup: %s\n' "$*"; }

case $purpose in
    run) wanted=$RUN ;;
    demo) wanted="$RUN $DEMO" ;;
    test) wanted="$RUN $DEMO $TEST" ;;
    *) say "I know run, demo and test, not '$purpose'." >&2; exit 2 ;;
esac

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed; this machine has $(python3 --version 2>&1)." >&2
    exit 1
}

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# A package may have another name, or be replaced by a program that is there already.
present() {
    installed "$1" && return 0
    case $1 in
        npm) command -v npm >/dev/null 2>&1 ;;
        nginx-light) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] ;;
        dnsmasq-base) [ -x /usr/sbin/dnsmasq ] ;;
        chromium) command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ;;
        *) return 1 ;;
    esac
}

install_packages() {
    missing=
    for package in $wanted; do
        present "$package" || missing="$missing $package"
    done
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing $(basename "$python")-venv"
    if [ -z "$missing" ]; then
        say "every system package for '$purpose' is there"
        return
    fi
    say "installing system packages:$missing"
    if ! command -v apt-get >/dev/null 2>&1; then
        say "this is not Debian or Ubuntu; install the packages above by your own means and call me again" >&2
        exit 1
    fi
    root=
    if [ "$(id -u)" != 0 ]; then
        root=sudo
        command -v sudo >/dev/null 2>&1 || { say "run me as root, or install sudo" >&2; exit 1; }
    fi
    # Packages with a service would start it: an nginx on port 80 or a database that nobody asked for. The
    # services that were there before are not touched.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
        $root chmod +x $policy
        trap '$root rm -f $policy' EXIT INT TERM
    fi
    export DEBIAN_FRONTEND=noninteractive
    $root apt-get -qq update
    available=
    for package in $missing; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            available="$available $package"
        else
            say "$package is not to be had here; what needs it will say so"
        fi
    done
    # shellcheck disable=SC2086  # a list of package names
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $available </dev/null >/dev/null
}

install_python() {
    stamp=$venv/.installed
    wanted_stamp=$(cat "$here/requirements.lock" "$here/pyproject.toml" | sha256sum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted_stamp" ]; then
        say "the virtual environment $venv is up to date"
        return
    fi
    say "installing Python packages into $venv (requirements.lock)"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r "$here/requirements.lock"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e "$here"
    echo "$wanted_stamp" >"$stamp"
}

python=$(find_python)
install_packages
install_python
