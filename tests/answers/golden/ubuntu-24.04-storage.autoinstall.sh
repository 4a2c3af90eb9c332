#!/bin/sh
# node1: fetched by the first of the early-commands, called again by the late- and the error-commands.
# It runs in Ubuntu's live session, as root; the installed system is at /target.
url='http://10.77.0.1:8081/c/CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC'
logs=/var/log/installer

uptime() { # in seconds; the clock itself may be set meanwhile
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

# Prints the answer's HTTP status, or something else when there was no answer. The installer puts its proxy into our
# environment: it is not for the appliance.
post() { # body, path
    if command -v curl >/dev/null; then
        curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 10 -H 'Content-Type: application/json' \
            -d "$1" "$url/$2"
    else
        wget -S -O /dev/null --no-proxy -t 1 -T 10 --header='Content-Type: application/json' --post-data="$1" \
            "$url/$2" 2>&1 |
            sed -n 's/^ *HTTP[^ ]* \([0-9]*\).*/\1/p' | tail -n 1
    fi
}

# A server that is away must not stop the installation: each call gives up soon; what must arrive says for how long. It
# knows us no more (404) or will not have it (422): no use in asking again.
report() { # event, message, seconds
    message=$(printf '%s' "$2" | tr '\n\t"\\' "  '/" | LC_ALL=C tr -cd ' -~' | tail -c 3000)
    deadline=$(($(uptime) + ${3:-0}))
    while :; do
        case $(post "{\"event\": \"$1\", \"message\": \"$message\"}" events) in 2?? | 404 | 422) return 0 ;; esac
        [ "$(uptime)" -lt "$deadline" ] || return 0
        sleep 5
    done
}

# Tokens are in the installer's own logs, for they are part of what it was told. They stay here.
without_tokens() {
    sed 's#/\([ac]\)/[A-Za-z0-9_-]\{20,\}#/\1/***#g'
}

send_log() { # file, name
    [ -s "$1" ] || return 0
    tail -c 1000000 "$1" | without_tokens >/run/pxeapp-log
    if command -v curl >/dev/null; then
        curl -s -o /dev/null --noproxy '*' --max-time 20 -X PUT -H 'Content-Type: text/plain' \
            --data-binary @/run/pxeapp-log "$url/logs/$2"
    else
        wget -qO /dev/null --no-proxy -t 1 -T 20 --method=PUT --body-file=/run/pxeapp-log "$url/logs/$2"
    fi
    return 0
}

# Which disks are meant, found in the same way by every installer: shell for dash, busybox and bash. Nothing is written
# here. A hint is eight words, each empty where it does not matter: path serial wwn model least most rotational extreme.
sysfs=/sys/block
devices=/dev
udev=/run/udev/data

# Few programs are run, for the machine may have sixty disks: what the shell itself can do, it does.
at() { # disk: where the kernel says what it is, in $block; cciss/c0d0 is cciss!c0d0 there
    case $1 in
        */*) block=$sysfs/${1%%/*}!${1#*/} ;;
        *) block=$sysfs/$1 ;;
    esac
}

called() { # where the kernel says it: the disk's name, in $disk
    disk=${1##*/}
    case $disk in *!*) disk=${disk%%!*}/${disk#*!} ;; esac
}

number() { # file: what is in it, in $value
    value=
    [ ! -r "$1" ] || read -r value <"$1" || :
}

udev_facts() { # disk, properties
    local name
    at "$1"
    number "$block/dev"
    [ -r "$udev/b$value" ] || return 0
    shift
    for name in "$@"; do sed -n "s/^E:$name=//p" "$udev/b$value"; done
}

# Kernel, SCSI pages and udev disagree about spaces, case and prefixes: all of it is said, in one spelling.
facts() { # disk, serial or wwn or model: one a line
    local block
    at "$1"
    case $2 in
        serial)
            cat "$block/serial" "$block/device/serial" 2>/dev/null
            [ ! -r "$block/device/vpd_pg80" ] || tail -c +5 "$block/device/vpd_pg80" # its length comes first
            echo
            udev_facts "$1" ID_SERIAL_SHORT ID_SCSI_SERIAL ID_SERIAL
            ;;
        wwn)
            cat "$block/wwid" "$block/device/wwid" 2>/dev/null
            udev_facts "$1" ID_WWN ID_WWN_WITH_EXTENSION
            ;;
        model)
            cat "$block/device/model" 2>/dev/null
            udev_facts "$1" ID_MODEL
            ;;
    esac | tr -cd ' -~\n' | tr ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz | case $2 in
        serial) sed -e 's/^ *//' -e 's/ *$//' -e '/^$/d' ;;
        wwn) sed -e 's/^ *//' -e 's/ *$//' -e '/^$/d' -e 's/^0x//' -e 's/^naa\.//' -e 's/^eui\.//' -e 's/  */_/g' ;;
        model) sed -e 's/^ *//' -e 's/ *$//' -e '/^$/d' -e 's/[ _][ _]*/_/g' ;;
    esac
}

says() { # pattern: whether a line of the input fits it
    local line
    while IFS= read -r line; do
        # shellcheck disable=SC2254  # a pattern is what it is
        case $line in $1) return 0 ;; esac
    done
    return 1
}

sectors() { # disk: its size, in $value
    at "$1"
    number "$block/size"
}

disk_at() { # path below /dev: the disk there, or the one that the partition is on
    local node block disk
    node=$(readlink -f "$devices/$1") || return 1
    node=${node#"$devices/"}
    at "$node"
    [ ! -e "$block" ] || { echo "$node"; return 0; }
    for block in "$sysfs"/*/"${block##*/}"; do
        [ -e "$block" ] || continue
        called "${block%/*}"
        echo "$disk"
        return 0
    done
    return 1
}

disks() { # each disk that can be written to, as the kernel calls it
    local block disk
    for block in "$sysfs"/*; do
        number "$block/ro"
        [ "$value" = 0 ] || continue
        number "$block/size"
        [ "${value:-0}" != 0 ] || continue # no medium in it
        called "$block"
        [ ! -b "$devices/$disk" ] || echo "$disk"
    done
}

fixed() { # disk: nobody can pull it out
    case $1 in loop* | ram* | zram* | nbd* | rbd* | dm-* | md* | fd* | sr* | mmcblk*boot* | mmcblk*rpmb) return 1 ;; esac
    at "$1"
    number "$block/removable"
    [ "$value" = 0 ] || return 1
    case $(readlink -f "$block") in */usb*) return 1 ;; esac
}

fits() { # disk, hint
    if [ -n "$6$7" ]; then
        sectors "$1"
        [ "$value" -ge "${6:-0}" ] || return 1
        [ -z "$7" ] || [ "$value" -le "$7" ] || return 1
    fi
    if [ -n "$8" ]; then
        at "$1"
        number "$block/queue/rotational"
        [ "$value" = "$8" ] || return 1
    fi
    [ -z "$2" ] || [ "$(disk_at "$2")" = "$1" ] || return 1
    [ -z "$3" ] || facts "$1" serial | says "$3" || return 1
    [ -z "$4" ] || facts "$1" wwn | says "$4" || return 1
    [ -z "$5" ] || facts "$1" model | says "$5"
}

# Two names with one WWN are two paths to one disk.
one_of() { # disk, names, WWNs
    local wwn
    case " $2 " in *" $1 "*) return 0 ;; esac
    case $3 in *[!\ ]*) ;; *) return 1 ;; esac
    for wwn in $(facts "$1" wwn); do
        case " $3 " in *" $wwn "*) return 0 ;; esac
    done
    return 1
}

kept=
kept_wwns=
taken=
taken_wwns=

keep() { # hint: every disk that it fits is never written to
    local disk
    for disk in $there; do
        fits "$disk" "$@" || continue
        kept="$kept $disk"
        kept_wwns="$kept_wwns $(facts "$disk" wwn | tr '\n' ' ')"
    done
}

take() { # disks
    local disk
    for disk in "$@"; do
        if one_of "$disk" "$taken" "$taken_wwns"; then
            trouble="$disk is the same disk as another one that is to be used, by a second path."
            return 1
        fi
        taken="$taken $disk"
        taken_wwns="$taken_wwns $(facts "$disk" wwn | tr '\n' ' ')"
    done
}

outermost() { # smallest or largest, disks
    local disk size best='' found='' which=$1
    shift
    for disk in "$@"; do
        sectors "$disk"
        size=$value
        if [ -z "$best" ] || { [ "$which" = smallest ] && [ "$size" -lt "$best" ]; } ||
            { [ "$which" = largest ] && [ "$size" -gt "$best" ]; }; then
            best=$size
            found=
        fi
        [ "$size" != "$best" ] || found="$found $disk"
    done
    echo "$found"
}

choose() { # where it is said, how many, in words, hint: they are in $chosen, or the reason is in $trouble
    local disk where=$1 count=$2 words=$3 not=''
    shift 3
    chosen=
    for disk in $there; do
        [ -n "$1$2$3" ] || fixed "$disk" || continue
        fits "$disk" "$@" || continue
        if one_of "$disk" "$kept" "$kept_wwns"; then
            not="$not $disk would, but is one to keep."
        elif one_of "$disk" "$taken" "$taken_wwns"; then
            not="$not $disk would, but is used already."
        else
            chosen="$chosen $disk"
        fi
    done
    # shellcheck disable=SC2086  # names of disks hold no spaces
    [ -z "$8" ] || chosen=$(outermost "$8" $chosen)
    # shellcheck disable=SC2086
    set -- $chosen
    if [ $# != "$count" ]; then
        trouble="$where must fit $count, but $# fit ($words): ${*:-none}.$not"
        return 1
    fi
    take "$@"
}

first_disk() { # the first that stays and is nobody's
    local disk
    for disk in $there; do
        if fixed "$disk" && ! one_of "$disk" "$kept" "$kept_wwns"; then
            chosen=" $disk"
            take "$disk"
            return 0
        fi
    done
    trouble="There is no fixed disk that is not one to keep."
    return 1
}

roomy() { # sectors, disks
    local disk least=$1
    shift
    for disk in "$@"; do
        sectors "$disk"
        if [ "$value" -lt "$least" ]; then
            trouble="$disk is too small: the layout needs $((least / 1953125)) GB."
            return 1
        fi
    done
}

contents() { # disk: what is on it, in a word or two; nothing for an empty one
    local part kind group
    at "$1"
    for part in "$block/${block##*/}"*; do
        [ ! -e "$part" ] || { echo partitions; return; }
    done
    if group=$(pvs --noheadings -o vg_name "$devices/$1" 2>/dev/null); then
        echo "LVM $group" | tr -s ' '
        return
    fi
    kind=$(udev_facts "$1" ID_FS_TYPE)
    case $kind in
        LVM2_member) echo LVM ;;
        '') [ "$(dd if="$devices/$1" bs=1048576 count=1 2>/dev/null | tr -d '\000' | wc -c)" -eq 0 ] || echo data ;;
        *) echo "$kind" ;;
    esac
}

unused() { # where it is said, what may be on them, disks: with anything else on it a disk must be wiped by order
    local disk found where=$1 ours=$2
    shift 2
    for disk in "$@"; do
        found=$(contents "$disk")
        found=${found% }
        case $found in
            '' | "$ours") continue ;;
            LVM) case $ours in "LVM "*) continue ;; esac ;; # nothing here can say of which group; LVM itself will
        esac
        trouble="$where: $disk holds $found already; empty it, or say wipe: true there."
        return 1
    done
}

listing() {
    local block disk path place
    for block in "$sysfs"/*; do
        called "$block"
        case $disk in loop* | ram* | zram* | fd* | sr*) continue ;; esac
        place=none
        for path in "$devices"/disk/by-path/*; do
            case $path in *-part[0-9]*) continue ;; esac
            [ "$(readlink -f "$path")" != "$devices/$disk" ] || place=${path#"$devices/"}
        done
        sectors "$disk"
        printf '%s: %s MiB, model %s, serial %s, wwn %s, path %s%s\n' "$disk" "$((value / 2048))" \
            "$(facts "$disk" model | head -n 1)" "$(facts "$disk" serial | head -n 1)" \
            "$(facts "$disk" wwn | head -n 1)" "$place" \
            "$(fixed "$disk" || echo ', can be pulled out')$(one_of "$disk" "$kept" "$kept_wwns" && echo ', to keep')"
    done
}

wrong_disks() { # why nothing is installed, and what there is to choose from; a report holds 3000 characters
    printf '%s There are:\n%s\n' "$trouble" "$(listing | head -n 16)"
}

trouble=
system_disks=
# shellcheck disable=SC2086  # names of disks hold no spaces
find_disks() { # sets system_disks and what else the layout names; fails with the reason in $trouble
    there=$(disks)
    keep disk/by-id/ata-DATA_1 '' '' '' '' '' '' ''
    keep disk/by-id/ata-DATA_2 '' '' '' '' '' '' ''
    keep disk/by-path/pci-0000:03:00.0-nvme-1 '' '' '' '' '' '' ''
    choose disks.system 1 'path disk/by-path/pci-0000:00:1f.2-ata-1' disk/by-path/pci-0000:00:1f.2-ata-1 '' '' '' '' '' '' '' || return 1
    system_disks="$system_disks$chosen"
    return 0
}

# The installer reads its answers again when the early-commands are through. Until then they name a disk that cannot be,
# so that whatever goes wrong here, no other one is taken.
disk() {
    udevadm settle --timeout=60 2>/dev/null
    if ! find_disks; then
        report failed "$(wrong_disks)" 300
        exit 1
    fi
    if ! grep -q '/dev/pxeapp-system-disk' /autoinstall.yaml; then
        report failed "The installer's /autoinstall.yaml does not name our disk: its storage section is another's." 300
        exit 1
    fi
    # shellcheck disable=SC2086  # names of disks hold no spaces
    set -- $system_disks
    sed -i -e "s,/dev/pxeapp-system-disk,/dev/${1},g" /autoinstall.yaml
    report progress "Installing on$system_disks"
}

early() {
    report started "Ubuntu's installer started on $(uname -r)." 15
    disk
}

finish() {
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
export DEBIAN_FRONTEND=noninteractive
# Packages that waited for their repositories.
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Options::=--force-confdef -o Dpkg::Use-Pty=false \
    install --no-install-recommends \
    openssh-server chrony curl sudo lvm2 python3 xfsprogs rsync thin-provisioning-tools
# Its time servers, in place of the distribution's pools.
if [ -e /etc/chrony/chrony.conf ]; then
    for file in /etc/chrony/chrony.conf /etc/chrony/sources.d/*.sources; do
        if [ -e "$file" ]; then sed -i '/^# pxeapp$/,$d; s/^\(pool\|server\) /#&/' "$file"; fi
    done
    cat >>/etc/chrony/chrony.conf <<'END_OF_TIME'
# pxeapp
server 10.77.0.1 iburst
END_OF_TIME
elif [ -e /etc/systemd/timesyncd.conf ]; then
    mkdir -p /etc/systemd/timesyncd.conf.d
    printf '[Time]\nNTP=10.77.0.1\nFallbackNTP=\n' >/etc/systemd/timesyncd.conf.d/pxeapp.conf
fi
echo 'node1' >/etc/hostname
cat >/etc/hosts <<'END_OF_HOSTS'
127.0.0.1 localhost
127.0.1.1 node1.rack.example.org node1

::1 ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
END_OF_HOSTS
passwd -l root
mkdir -p /root/.ssh
chmod 700 /root/.ssh
cat >/root/.ssh/authorized_keys <<'END_OF_KEYS'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6hZ8Yyq0T7v1n5m0c2c0X1 ada@ops
END_OF_KEYS
chmod 600 /root/.ssh/authorized_keys
# The first boot from its own disk: call in until answered, then forget how. The script holds the token: root's alone.
: >/usr/local/sbin/pxeapp-first-boot
chmod 700 /usr/local/sbin/pxeapp-first-boot
cat >/usr/local/sbin/pxeapp-first-boot <<'END_OF_SCRIPT'
#!/bin/bash
# Written by pxeapp at installation. Whatever the system has to speak HTTP with is used; nothing is installed for it.
url=http://10.77.0.1:8081/c/CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC/events
disk=$(awk '$2 == "/" {disk = $1} END {print disk}' /proc/mounts) # the last: EL7 has a line for its initramfs before it
# By these keys it is known from now on. The first start of sshd may be making them right now.
host_keys() {
    cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null |
        awk '$1 ~ /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-)/ && NF > 1 {printf "%s\"%s %s\"", (n++ ? ", " : ""), $1, $2}'
}
keys=$(host_keys)
for _ in $(seq 1 30); do
    if [ -n "$keys" ] || [ ! -e /etc/ssh/sshd_config ]; then break; fi
    sleep 1
    keys=$(host_keys)
done
said="Kernel $(uname -r) runs from $disk."
body="{\"event\": \"first_boot\", \"message\": \"$said\", \"host_keys\": [$keys]}"

# Each of these prints the answer's HTTP status, or something else when there was no answer. None goes by a proxy.
by_curl() {
    curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 10 -H 'Content-Type: application/json' -d "$body" \
        "$url"
}

by_wget() {
    wget -S -O /dev/null --no-proxy -t 1 -T 10 --header='Content-Type: application/json' --post-data="$body" "$url" 2>&1 |
        sed -n 's/^ *HTTP[^ ]* \([0-9]*\).*/\1/p' | tail -n 1
}

by_bash() {
    local rest=${url#http://} host port=80 answer
    host=${rest%%/*}
    if [[ $host =~ ^(.*):([0-9]+)$ ]]; then host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}; fi
    host=${host#[} host=${host%]}
    exec 3<>"/dev/tcp/$host/$port" || return 1
    printf 'POST /%s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "${rest#*/}" "$host" "$(printf %s "$body" | wc -c)" "$body" >&3
    IFS=' ' read -r -t 10 _ answer _ <&3
    exec 3>&-
    printf '%s' "$answer"
}

call_in() {
    if command -v curl >/dev/null; then
        by_curl
    elif command -v wget >/dev/null; then
        by_wget
    else
        by_bash 2>/dev/null
    fi
}

forget() {
    systemctl disable pxeapp-first-boot.service >/dev/null 2>&1
    rm -f /etc/systemd/system/pxeapp-first-boot.service /usr/local/sbin/pxeapp-first-boot
    exit 0
}

for _ in $(seq 1 300); do
    status=$(call_in)
    case $status in 2??) forget ;; esac
    sleep 3
done
# For a quarter of an hour the appliance did not know this attempt: it is over, and nobody waits for us.
[ "$status" = 404 ] && forget
exit 1 # no answer yet; systemd starts us again
END_OF_SCRIPT
cat >/etc/systemd/system/pxeapp-first-boot.service <<'END_OF_UNIT'
[Unit]
Description=Tell the provisioning appliance that this system runs from its own disk
Wants=network-online.target
After=network.target network-online.target sshd.service ssh.service

[Service]
Type=simple
ExecStart=/usr/local/sbin/pxeapp-first-boot
Restart=on-failure
RestartSec=60

[Install]
WantedBy=multi-user.target
END_OF_UNIT
if command -v restorecon >/dev/null; then
    restorecon /usr/local/sbin/pxeapp-first-boot /etc/systemd/system/pxeapp-first-boot.service || :
fi
systemctl enable pxeapp-first-boot.service
# Keep the network first in the firmware's order: the appliance decides at each boot, and answers with the disk.
if [ -d /sys/firmware/efi ] && command -v efibootmgr >/dev/null; then
    ls /sys/firmware/efi/efivars/BootOrder-* >/dev/null 2>&1 ||
        mount -t efivarfs efivarfs /sys/firmware/efi/efivars || :
    current=$(efibootmgr | sed -n 's/^BootCurrent: //p')
    order=$(efibootmgr | sed -n 's/^BootOrder: //p')
    if [ -n "$current" ] && [ -n "$order" ]; then
        rest=$(printf '%s' "$order" | tr ',' '\n' | grep -vx "$current" | paste -sd, -)
        efibootmgr -q -o "$current${rest:+,$rest}" || :
    fi
fi
systemctl enable ssh || :
systemctl enable chrony || :
END_OF_FINISH
    if ! curtin in-target --target=/target -- bash /root/pxeapp-finish >/run/pxeapp-finish.log 2>&1; then
        send_log /run/pxeapp-finish.log finish.log
        report failed "The last script failed: $(tail -n 10 /run/pxeapp-finish.log | cut -c1-200)" 300
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
    send_log /run/pxeapp-finish.log finish.log
    send_log "$logs/curtin-install.log" curtin-install.log
    report installed "Ubuntu's installer installed ubuntu-24.04 as storage." 900
}

failed() {
    said=$(
        grep -hE 'ERROR|Error:|Exception:' "$logs/subiquity-server-debug.log" 2>/dev/null | tail -n 3 | cut -c1-400
        tail -n 12 "$logs/curtin-install.log" 2>/dev/null | cut -c1-200
    )
    report failed "$(printf '%s' "${said:-The installer stopped and left no log.}" | without_tokens)" 300
    journalctl -b --no-pager >/run/pxeapp-journal 2>/dev/null
    send_log "$logs/subiquity-server-debug.log" subiquity.log
    send_log "$logs/curtin-install.log" curtin-install.log
    send_log /var/log/cloud-init.log cloud-init.log
    send_log /run/pxeapp-journal journal.log
}

case $1 in
    early | finish | failed) "$1" ;;
esac
exit 0
