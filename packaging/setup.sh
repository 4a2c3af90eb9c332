#!/bin/sh
# Installs what a target of the Makefile needs: Debian or Ubuntu packages, then the virtual environment.
# Says what it installs, asks nothing, changes nothing that is there already; called again it ends at once.
#
#   packaging/setup.sh run|demo|test|bench [--packages]      --packages: print the system packages of that purpose and end
set -eu

purpose=${1:?run, demo, test or bench}
here=$(cd "$(dirname "$0")/.." && pwd)
venv=${VENV:-$here/.venv}
export LC_ALL=C # we read what apt says

# What each purpose adds to the one before it. One table, read by the Dockerfile and by docs/operations.md's readers too.
RUN="dnsmasq-base nginx-light ipxe shim-signed grub-efi-amd64-signed pxelinux syslinux-common iproute2 ca-certificates
  grub-common grub-efi-amd64-bin libarchive-tools ipmitool gpg gpg-agent gpgv createrepo-c rpm zstd"
DEMO="qemu-system-x86 qemu-utils ovmf ipxe-qemu openipmi busybox-static cpio mtools dosfstools syslinux syslinux-efi
  extlinux grub-pc-bin curl kmod xz-utils uidmap procps fdisk e2fsprogs"
TEST="chromium chromium-driver postgresql redis-server shellcheck tftp-hpa atftp mmdebstrap buildah crun npm
  fonts-droid-fallback netplan.io ifupdown ifenslave bridge-utils libnm0 lvm2 xfsprogs sudo nftables gnupg
  debian-installer-12-netboot-amd64 openssh-server openssh-client dnf dnf-plugins-core apache2-bin xorriso
  swift swift-object"
# atftpd conflicts with tftpd-hpa; tests/bench/tftp.py unpacks it, and these are its libraries.
BENCH="tftpd-hpa libwrap0 libpcre2-8-0 gcc libc6-dev apt-mirror"

say() { printf 'setup: %s\n' "$*"; }

case $purpose in
    run) wanted=$RUN lock=run ;;
    demo) wanted="$RUN $DEMO" lock=run ;;
    test) wanted="$RUN $DEMO $TEST" lock=dev ;;
    bench) wanted="$RUN $DEMO $TEST $BENCH" lock=dev ;;
    *) say "I know run, demo, test and bench, not '$purpose'." >&2; exit 2 ;;
esac
if [ "${2:-}" = --packages ]; then
    # shellcheck disable=SC2086  # a list of package names
    printf '%s\n' $wanted
    exit
fi
# The pages' scripts are fetched once, with npm; where they lie already, nobody needs its 360 packages.
[ -n "$(find "$here/web/vendor/version" -newer "$here/web/package.json" 2>/dev/null)" ] || wanted="$wanted npm"

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed; this machine has $(python3 --version 2>&1 || echo none)." >&2
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
        chromium-driver) command -v chromedriver >/dev/null 2>&1 ;;
        *) return 1 ;;
    esac
}

# Packages that this machine's sources lack are remembered, or every call would ask for them anew.
not_here() { grep -qx "$1" "$venv/.not-here" 2>/dev/null; }

install_packages() {
    missing=
    for package in $wanted; do
        present "$package" || not_here "$package" || missing="$missing $package"
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
        trap '$root rm -f $policy' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
        $root chmod +x $policy
    fi
    # A machine that has just been started may be installing its own updates.
    apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300"
    $apt update || say "apt-get update complained; going on with the package lists that are here"
    available=
    for package in $missing; do
        if apt-cache policy "$package" | grep -q '^  Candidate: [^(]'; then
            available="$available $package"
        else
            say "$package is not to be had here (on Ubuntu, is 'universe' enabled?); what needs it will say so"
            absent="${absent:-} $package"
        fi
    done
    [ -n "$available" ] || return 0
    # shellcheck disable=SC2086  # a list of package names
    if ! $apt install -y --no-install-recommends $available </dev/null >/dev/null; then
        say "apt-get could not install these packages; what it said stands above" >&2
        exit 1
    fi
}

pip_install() { "$venv/bin/python" -m pip -qq --disable-pip-version-check --no-input install "$@"; }

install_python() {
    # Whatever tests is enough to run. The place is in the stamp because an editable install names it.
    wanted_stamp=$(cd "$here" && { pwd; "$python" --version; cat requirements*.lock pyproject.toml; } | sha256sum)
    for stamp in "$venv/.installed-dev" "$venv/.installed-$lock"; do
        if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted_stamp" ]; then
            say "the virtual environment $venv is up to date"
            return
        fi
    done
    # One that was left half made, or whose Python has gone with an upgrade, is made anew.
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
    rm -f "$venv"/.installed-*
    if [ $lock = dev ]; then
        say "installing Python packages into $venv (requirements-dev.lock)"
        pip_install -r "$here/requirements-dev.lock"
    else
        say "installing Python packages into $venv (requirements.lock)"
        pip_install -r "$here/requirements.lock" -r "$here/requirements-build.lock"
    fi
    pip_install --no-deps --no-build-isolation -e "$here"
    echo "$wanted_stamp" >"$venv/.installed-$lock"
}

# Recipes for partman are tested with partman's own reader: a shell script in an installer component, which apt fetches
# where its sources have such components. Without it those tests are skipped, and say so.
fetch_partman() {
    [ "$purpose" = test ] && [ ! -d "$venv/udebs/partman-auto" ] || return 0
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    # shellcheck disable=SC2016  # apt's own words
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2>/dev/null | sort -u |
        grep '/debian/ [a-z]*$' | sed 's,.*,deb & main/debian-installer,' >"$work/sources.list"
    options="-qq -o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists=$work/lists -o Dir::Cache=$work -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086  # options hold no spaces
    if [ -s "$work/sources.list" ] && (cd "$work" && apt-get $options update && apt-get $options download partman-auto) \
        >/dev/null 2>&1 && mkdir -p "$venv/udebs" &&
        dpkg-deb -x "$work"/partman-auto_*.udeb "$work/partman-auto"; then
        mv "$work/partman-auto" "$venv/udebs/partman-auto"
        say "partman's reader of recipes is in $venv/udebs"
    else
        say "partman-auto's udeb is not to be had here; its tests are skipped"
    fi
    rm -rf "$work"
}

# The pages are examined with axe-core, which is for tests alone and no part of the product.
AXE=4.14.1
fetch_axe() {
    [ "$purpose" = test ] && [ ! -f "$venv/axe/$AXE" ] && command -v npm >/dev/null 2>&1 || return 0
    work=$(mktemp -d)
    if (cd "$work" && npm pack --loglevel=error "axe-core@$AXE" >/dev/null </dev/null && tar -xzf ./*.tgz); then
        mkdir -p "$venv/axe"
        cp "$work/package/axe.min.js" "$venv/axe/axe.min.js"
        touch "$venv/axe/$AXE"
        say "axe-core $AXE is in $venv/axe"
    else
        say "axe-core is not to be had here; the test with it is skipped"
    fi
    rm -rf "$work"
}

python=$(find_python)
install_packages
install_python
fetch_partman
fetch_axe
for package in ${absent:-}; do echo "$package" >>"$venv/.not-here"; done
