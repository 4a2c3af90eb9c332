#!/bin/bash
# Patches the system that it runs on, or says what a patch would change. Sent by pxeapp, see patch.py.
#
#   apply|simulate|reboot WHAT SNAPSHOT EXCLUDED... -- PACKAGE...     WHAT: all, security, named
#
# SNAPSHOT is empty, a moment as apt knows them, or `BASE FOLDER`: our repositories' address, and what is read instead.
#
# `reboot` only says whether the system asks for one. What it does goes to the log; what it found goes to $PXEAPP_RESULT
# (of apply; else to the standard output), one thing a line, its words parted by tabs:
#
#   tool NAME                what it works with: apt, dnf, yum
#   before|after NAME VERSION
#   change NAME OLD NEW      - where there is none
#   held NAME                not touched: the machine holds it
#   absent NAME              named, and not installed here
#   reboot yes|no WHY
#   trouble CODE SENTENCE    and then, as `said`, the last lines of what failed
mode=$1 what=$2 snapshot=$3
shift 3
excluded=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    excluded+=("$1")
    shift
done
shift
named=("$@")

# A snapshot of the appliance's own: where its repositories lie, and the folder that stands in for that.
base='' folder=''
case $snapshot in *://*' '*) base=${snapshot% *} folder=${snapshot##* } ;; esac

# A file of sources with our repositories from there; those that name a snapshot or channel already name this one then.
pinned() {
    local from
    from=$(printf '%s' "$base" | sed 's/[].[*^$+?(){}|]/\\&/g')
    sed -E "s#$from(snapshots/[^/ ]+/|channels/[^/ ]+/)?#$base$folder/#g; s#$base$folder/(keys|media)/#$base\\1/#g" "$1"
}

export LC_ALL=C.UTF-8 PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
root=${DPKG_ROOT:-}
lock_wait=${PXEAPP_LOCK_WAIT:-600} # seconds
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
if [ "$mode" = apply ]; then
    exec 3>"$PXEAPP_RESULT"
    log=$PXEAPP_LOG
else
    exec 3>&1 1>&2
    log=$work/log
fi
exec </dev/null

result() {
    local IFS=$'\t'
    printf '%s\n' "$*" >&3
}

trouble() { # code, sentence; with the last lines of what was said since $begun
    result trouble "$1" "$2"
    tail -c "+$((begun + 1))" "$log" 2>/dev/null | tail -n 40 | tr '\t\r' '  ' | cut -c1-300 | sed 's/^/said\t/' >&3
    exit 1
}

note() { echo "== $*" >>"$log"; }

# Straight into the file: a daemon that a package starts may keep a pipe open for ever.
logged() {
    note "$*"
    begun=$(stat -c %s "$log")
    "$@" >>"$log" 2>&1 3>&-
}

# Others may be at it: the distribution's own timers, above all right after a boot.
patiently() {
    local until=$((SECONDS + lock_wait)) code
    while :; do
        logged "$@"
        code=$?
        [ $code = 0 ] && return 0
        tail -c "+$((begun + 1))" "$log" | grep -qiE "$busy" || return $code
        [ $SECONDS -lt $until ] || trouble locked "Another program held the package manager's lock for $lock_wait s."
        sleep "${PXEAPP_LOCK_PAUSE:-5}"
    done
}

reboot_by_kernel() {
    local newest running
    running=$(uname -r)
    newest=$(find "$root/boot" -maxdepth 1 -name 'vmlinuz-*' ! -name '*rescue*' -printf '%f\n' 2>/dev/null |
        sed 's/^vmlinuz-//' | sort -V | tail -n 1)
    [ -n "$newest" ] && [ "$newest" != "$running" ] &&
        [ "$(printf '%s\n%s\n' "$newest" "$running" | sort -V | tail -n 1)" = "$newest" ] || return 1
    result reboot yes "Linux $newest is installed and $running runs."
}

# --- Debian and Ubuntu ------------------------------------------------------------------------------------------------

apt_setup() {
    export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1
    export NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l # nothing is asked, and services are restarted by nobody but us
    busy='could not get lock|unable to lock|unable to acquire|is locked by another process|frontend lock'
    local preferences=$work/preferences site
    # A version below 100 never takes the place of one that is installed, one below 0 is not installed at all. The first
    # that fits counts, so the site's own come behind.
    for name in "${excluded[@]}"; do
        printf 'Package: %s\nPin: release *\nPin-Priority: -1\n\n' "$name"
    done >"$preferences"
    if [ "$what" = security ]; then
        for suite in 'l=Debian-Security 500' 'a=*-security 500' 'n=*-security 500' 'a=now 100'; do # now: what is installed
            printf 'Package: *\nPin: release %s\nPin-Priority: %s\n\n' "${suite% *}" "${suite#* }"
        done >>"$preferences"
        printf 'Package: *\nPin: release *\nPin-Priority: 50\n\n' >>"$preferences"
    fi
    eval "$(apt-config shell site Dir::Etc::preferences/f)"
    if [ -n "$site" ] && [ -f "$site" ]; then cat "$site" >>"$preferences"; fi
    chmod 755 "$work" && chmod 644 "$preferences" # apt reads them as somebody else
    apt=(apt-get -q -y -o "Dir::Etc::preferences=$preferences" -o DPkg::Lock::Timeout=60 -o APT::Color=0
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
        -o APT::Get::AutomaticRemove=false -o Acquire::Retries=3 -o Acquire::http::Timeout=60)
    if [ -n "$folder" ]; then
        apt_pinned
    elif [ -n "$snapshot" ]; then
        dpkg --compare-versions "$(dpkg-query -W -f '${Version}' apt 2>/dev/null || apt-get --version |
            sed -n '1s/^apt \([^ ]*\).*/\1/p')" ge 2.8 ||
            trouble snapshot "This system's apt knows no snapshots; Debian 13 and Ubuntu 24.04 are the first that do."
        apt+=(-o "APT::Snapshot=$snapshot")
    fi
}

# For this run the appliance's repositories are read from the snapshot; the system's lists and sources stay as they are.
apt_pinned() {
    local list parts
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    mkdir -p "$work/sources" "$work/lists/partial"
    : >"$work/sources.list"
    [ ! -f "$list" ] || pinned "$list" >"$work/sources.list"
    for file in "$parts"/*.list "$parts"/*.sources; do
        [ ! -f "$file" ] || pinned "$file" >"$work/sources/${file##*/}"
    done
    grep -rqF "$base$folder/" "$work/sources.list" "$work/sources" ||
        trouble snapshot "It reads no repository of the appliance's below $base, so no snapshot of these can hold it."
    chmod -R u=rwX,go=rX "$work" # apt fetches as somebody else
    chown _apt "$work/lists/partial" 2>/dev/null
    apt+=(-o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/sources"
        -o "Dir::State::lists=$work/lists")
}

apt_list() { # before, after
    dpkg-query -W -f '${db:Status-Abbrev}\t${binary:Package}\t${Version}\n' | sed -n "s/^[hi]i.\t/$1\t/p" >&3
}

apt_verb() {
    local name
    if [ "$what" != named ]; then
        verb=(upgrade --with-new-pkgs)
        return
    fi
    verb=(install --only-upgrade)
    for name in "${named[@]}"; do
        if ! dpkg-query -W -f '${db:Status-Abbrev}\n' "$name" 2>/dev/null | grep -q '^[hi]i'; then
            result absent "$name"
        elif apt-mark showhold "$name" 2>/dev/null | grep -q .; then
            : # it is told as held
        else
            verb+=("$name")
        fi
    done
    [ ${#verb[@]} -gt 2 ] || verb=()
}

apt_changes() {
    "${apt[@]}" -s "${verb[@]}" >"$work/simulated" 2>>"$log" || {
        cat "$work/simulated" >>"$log"
        return 1
    }
    awk -v OFS='\t' '
        $1 == "Inst" || $1 == "Remv" {
            old = "-"; new = "-"
            if ($3 ~ /^\[/) { old = substr($3, 2); sub(/\]$/, "", old) }
            if ($1 == "Inst" && match($0, /\(([^ )]+)/)) new = substr($0, RSTART + 1, RLENGTH - 1)
            print "change", $2, old, new
        }' "$work/simulated" | tee "$work/changes" >&3
}

apt_patch() {
    if [ "$mode" = reboot ]; then
        apt_reboot
        return
    fi
    apt_setup
    result tool apt
    begun=$(stat -c %s "$log")
    if [ -n "$(dpkg --audit 2>&1)" ]; then
        dpkg --audit >>"$log" 2>&1
        [ "$mode" = simulate ] && trouble broken_packages "Packages are half installed: dpkg --audit names them."
        if ! { patiently dpkg --force-confdef --force-confold --configure -a &&
            patiently "${apt[@]}" --fix-broken install; }; then
            trouble broken_packages "Packages are half installed, and dpkg --configure -a does not mend them."
        fi
    fi
    patiently "${apt[@]}" update -o APT::Update::Error-Mode=any ||
        trouble repository "The package lists could not be fetched."
    apt-mark showhold 2>/dev/null | while read -r name; do result held "$name"; done
    apt_verb
    if [ ${#verb[@]} -gt 0 ]; then
        begun=$(stat -c %s "$log")
        apt_changes || trouble not_possible "apt finds no way to upgrade these."
    else
        : >"$work/changes"
    fi
    [ "$mode" = simulate ] && return
    apt_list before
    if [ -s "$work/changes" ]; then
        if ! patiently "${apt[@]}" "${verb[@]}"; then
            apt_list after
            trouble failed "apt-get did not succeed."
        fi
    fi
    apt_list after
    apt_reboot
}

apt_reboot() {
    if [ -e "$root/run/reboot-required" ]; then
        result reboot yes "The system asks for it: $(sort -u "$root/run/reboot-required.pkgs" 2>/dev/null |
            head -n 5 | paste -s -d ' ')"
    else
        reboot_by_kernel || result reboot no "The system does not ask for it."
    fi
}

# --- RHEL and its kin -------------------------------------------------------------------------------------------------

version='%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n'

dnf_list() { # before, after
    rpm -qa --qf "$1\t%{NAME}.%{ARCH}\t$version" | grep -v '^[a-z]*.gpg-pubkey' | sort >&3
}

dnf_setup() {
    # Its own words for "somebody else is at it": said at once instead of waited for, so that we can end.
    busy='lock.*(held|obtain|is used)|existing lock|waiting for process|another app is currently holding|exit_on_lock'
    dnf=("$tool" -y --setopt=exit_on_lock=1 --setopt=color=never)
    for name in "${excluded[@]}"; do dnf+=("--exclude=$name"); done
    [ -z "$folder" ] || dnf_pinned
    [ -z "$snapshot" ] || [ -n "$folder" ] ||
        trouble snapshot "$tool knows no moments of an archive; name a snapshot of the appliance's own."
}

dnf_pinned() {
    mkdir -p "$work/repos" "$work/cache"
    for file in "$root"/etc/yum.repos.d/*.repo; do
        [ ! -f "$file" ] || pinned "$file" >"$work/repos/${file##*/}"
    done
    grep -rqF "$base$folder/" "$work/repos" ||
        trouble snapshot "It reads no repository of the appliance's below $base, so no snapshot of these can hold it."
    # A cache of its own: yum finds one by the repository's name, and would take the other's for this one.
    dnf+=("--setopt=reposdir=$work/repos" "--setopt=cachedir=$work/cache")
}

dnf_verb() {
    local name
    verb=()
    [ "$what" = security ] && verb=(--security)
    [ "$what" = named ] || return 0
    for name in "${named[@]}"; do
        if rpm -qa "$name" | grep -q .; then verb+=("$name"); else result absent "$name"; fi
    done
    [ ${#verb[@]} -gt 0 ]
}

# "name.arch version repository", which is broken into lines of its own where a name is long.
dnf_changes() {
    local code
    "${dnf[@]}" -q check-update "${verb[@]}" >"$work/updates" 2>>"$log"
    code=$?
    [ $code = 0 ] || [ $code = 100 ] || return 1
    sed '/^Obsoleting/,$d; /^Security:/d; /^Last metadata/d; /^Available upgrades/d' "$work/updates" | xargs -n 3 |
        while read -r name new _; do
            case $name in *.*) ;; *) continue ;; esac
            old=$(rpm -q --qf "$version" "$name" 2>/dev/null | sort -V | tail -n 1)
            case $old in '' | *' '*) old=- ;; esac
            result change "$name" "$old" "$new"
            echo "$name"
        done >"$work/changes"
}

dnf_held() {
    "${dnf[@]}" -q versionlock list 2>/dev/null | grep -E '^[!A-Za-z0-9][^ ]*$' | while read -r name; do
        result held "$name"
    done
}

dnf_patch() {
    if [ "$mode" = reboot ]; then
        dnf=("$tool" -y)
        dnf_reboot
        return
    fi
    result tool "$tool"
    begun=$(stat -c %s "$log")
    rpm -qa >"$work/rpms" 2>>"$log" || trouble broken_packages "rpm's database cannot be read."
    dnf_setup
    patiently "${dnf[@]}" makecache || trouble repository "The package lists could not be fetched."
    dnf_held
    if dnf_verb; then
        begun=$(stat -c %s "$log")
        dnf_changes || trouble not_possible "$tool cannot tell what is to be upgraded."
    else
        : >"$work/changes"
    fi
    [ "$mode" = simulate ] && return
    dnf_list before
    if [ -s "$work/changes" ]; then
        patiently "${dnf[@]}" upgrade "${verb[@]}"
        code=$?
        dnf_list after
        [ $code = 0 ] || trouble failed "$tool did not succeed."
        # It calls that a warning, and succeeds.
        tail -c "+$((begun + 1))" "$log" | grep -qiE 'scriptlet failed|error in [a-z]+ scriptlet' &&
            trouble scriptlet "A package's own script failed."
    else
        dnf_list after
    fi
    dnf_reboot
}

dnf_reboot() {
    local said code
    if command -v needs-restarting >/dev/null; then
        said=$(needs-restarting -r 2>&1)
        code=$?
    elif "${dnf[@]}" -q needs-restarting --help >/dev/null 2>&1; then
        said=$("${dnf[@]}" -q needs-restarting -r 2>&1)
        code=$?
    else
        code=2
    fi
    if [ $code = 1 ] && grep -qi reboot <<<"$said"; then
        result reboot yes "The system asks for it: $(sed -n 's/^ *[*] *//p' <<<"$said" | head -n 5 | paste -s -d ' ')"
    else
        reboot_by_kernel || result reboot no "The system does not ask for it."
    fi
}

touch "$log"
begun=0
if [ -e "$root/var/lib/dpkg/status" ] && command -v apt-get >/dev/null; then
    apt_patch
elif command -v dnf >/dev/null; then
    tool=dnf
    dnf_patch
elif command -v yum >/dev/null; then
    tool=yum
    dnf_patch
else
    trouble no_package_manager "There is neither apt-get nor dnf nor yum on it."
fi
exit 0
