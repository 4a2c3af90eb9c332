#!/bin/sh
# node1: fetched by preseed/early_command, kept in /tmp, called again by partman and late_command.
# The installer has busybox and wget; no curl, no python, no systemctl.
url='http://10.77.0.1:8081/c/CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC'

uptime() { # in seconds; the clock itself may be set meanwhile
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

# A server that is away must not stop the installation: each call gives up soon; what must arrive says for how long.
# No proxy stands between us: in these words GNU's wget and busybox's both understand it.
report() { # event, message, seconds
    message=$(printf '%s' "$2" | tr '\n\t"\\' "  '/" | tr -cd ' -~' | tail -c 3000)
    deadline=$(($(uptime) + ${3:-0}))
    while :; do
        wget -qO /dev/null --proxy=off -t 1 -T 10 --header='Content-Type: application/json' \
            --post-data="{\"event\": \"$1\", \"message\": \"$message\"}" "$url/events" && return 0
        [ "$(uptime)" -lt "$deadline" ] || return 0
        sleep 5
    done
}

send_logs() {
    for log in syslog partman; do
        [ -s "/var/log/$log" ] || continue
        # Tokens are in it, for they are part of what the installer was told. They stay here.
        tail -c 1000000 "/var/log/$log" | sed 's#/\([ac]\)/[A-Za-z0-9_-]\{20,\}#/\1/***#g' >/tmp/pxeapp-log
        if wget --help 2>&1 | grep -q -e --post-file; then
            set -- "--post-file=/tmp/pxeapp-log"
        else # busybox's: no more than fits into one argument
            set -- "--post-data=$(tail -c 100000 /tmp/pxeapp-log)"
        fi
        wget -qO /dev/null --proxy=off -t 1 -T 20 --header='Content-Type: text/plain' "$1" "$url/logs/$log" || :
    done
}

give_up() { # why
    report failed "$1" 300
    send_logs
}

# "12 of 140 packages are configured": long stages say once a minute how far they are, and nothing when they hang.
packages() {
    status=/target/var/lib/dpkg/status
    [ -s "$status" ] || return 0
    echo "$(grep -c '^Status: install ok installed' "$status") of $(grep -c '^Package:' "$status") packages are configured"
}

# The installer writes each menu item that it begins, and each one that fails, to its log.
watch() {
    seen=
    counted=
    rounds=0
    while sleep 5; do
        item=$(sed -n "s/.*main-menu\[[0-9]*\]: INFO: Menu item '\([^']*\)' selected.*/\1/p" /var/log/syslog | tail -n 1)
        if [ -n "$item" ] && [ "$item" != "$seen" ]; then
            seen=$item
            report progress "$item"
            rounds=0
        fi
        rounds=$((rounds + 1))
        if [ "$rounds" -ge 12 ]; then
            rounds=0
            count=$(packages)
            if [ "$count" != "$counted" ]; then
                counted=$count
                report progress "$item: $count"
            fi
        fi
        failed=$(grep -E "main-menu\[[0-9]*\]: WARNING .*(failed with error code|Menu item .* failed)" /var/log/syslog |
            tail -n 1)
        if [ -n "$failed" ]; then
            give_up "$failed
$(tail -n 15 /var/log/syslog | cut -c1-200)"
            return
        fi
    done
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

# Scripts of the site's, in their order: `pre_scripts` fails with the name of the one that failed.
pre_script() { # name
    chmod 700 "/tmp/pxeapp-pre-$1"
    "/tmp/pxeapp-pre-$1" </dev/null >>/tmp/pxeapp-site-pre.log 2>&1
}
pre_scripts() {
    cat >/tmp/pxeapp-pre-raid <<'END_OF_CONTENT'
#!/bin/sh
echo raid >/tmp/raid
END_OF_CONTENT
    if ! pre_script raid; then
        failed_script=raid
        echo "pxeapp: the pre script $failed_script failed; going on" >>/tmp/pxeapp-site-pre.log
    fi
    {
        printf '\043\041\057\142\151\156\057\163\150\012\072\040\074\074\047\130\047\012\045\145\156\144\012\045'
        printf '\160\141\143\153\141\147\145\163\012\105\117\106\012\105\116\104\137\117\106\137\103\117\116\124'
        printf '\105\116\124\012\105\116\104\137\117\106\137\106\111\116\111\123\110\012\044\050\164\157\165\143'
        printf '\150\040\057\164\155\160\057\142\162\157\153\145\156\055\157\165\164\051\040\140\164\157\165\143'
        printf '\150\040\057\164\155\160\057\142\162\157\153\145\156\055\157\165\164\140\012\047\042\134\040\134'
        printf '\012\011\164\141\142\054\040\143\141\146\303\251\054\040\346\227\245\346\234\254\350\252\236\054'
        printf '\040\156\157\040\154\151\156\145\040\145\156\144\012\130\012'
        :
    } >/tmp/pxeapp-pre-nasty
    if ! pre_script nasty; then
        failed_script=nasty
        return 1
    fi
    return 0
}

# The ssh host keys outlive a reinstallation: taken from the old system before its disk is written, put back into the
# new one. They never leave this machine: they lie in its memory meanwhile. Nothing found is no fault.
kept_keys=/tmp/pxeapp-host-keys
old_system=/tmp/pxeapp-old-system
unread= # what there is and cannot be looked into

# debian-installer has these among its components, but loads them only when we are through; before that its mount knows
# no file system of a disk's at all, and tries none that the kernel has not named yet.
load_drivers() {
    if [ -d /lib/partman ]; then depmod -a >/dev/null 2>&1 || :; fi
    for module in ext4 xfs btrfs dm-mod md-mod raid1 raid10; do modprobe "$module" 2>/dev/null || :; done
}

content_of() { # device: its file system, or whose part it is; nothing where nobody can tell
    # -p: as it is now, not as it was when somebody looked last.
    blkid -p "$1" 2>/dev/null | sed -n 's/.* TYPE="\([^"]*\)".*/\1/p'
}

look_into() { # device: mounted where we look, read-only, and no journal is played back: the disk is not written to
    content=$(content_of "$1")
    case $content in
        ext[234]) kinds=ext4 ;;
        xfs | btrfs) kinds=$content ;;
        '') kinds="ext4 xfs btrfs" ;;
        *) return 1 ;;
    esac
    for kind in $kinds; do
        # The second spelling is that of kernels which know btrfs's first one no more.
        mount -t "$kind" -o ro,norecovery "$1" "$old_system" 2>/dev/null && return 0
        mount -t "$kind" -o ro,rescue=nologreplay "$1" "$old_system" 2>/dev/null && return 0
    done
    [ -z "$content" ] || unread="$unread ${1#/dev/} ($content)"
    return 1
}

take_host_keys() { # device: true when there were some on it
    look_into "$1" || return 1
    for folder in "$old_system/etc/ssh" "$old_system/root/etc/ssh" "$old_system/@/etc/ssh"; do # btrfs: subvolumes
        for key in "$folder"/ssh_host_*key "$folder"/ssh_host_*key.pub; do
            # A link would lead into the installer; what is larger is no key.
            if [ -f "$key" ] && [ ! -L "$key" ] && [ "$(wc -c <"$key")" -lt 20000 ]; then
                cp "$key" "$kept_keys/"
            fi
        done
    done
    umount "$old_system"
    ls "$kept_keys"/ssh_host_*key >/dev/null 2>&1
}

look_for_host_keys() { # device
    [ -e "$1" ] || return 1
    take_host_keys "$1" && return 0
    # LVM: only the groups that this disk belongs to, and not for longer than we look.
    if command -v lvm >/dev/null; then
        group=$(lvm pvs --noheadings -o vg_name "$1" 2>/dev/null | tr -d ' ')
        if [ -n "$group" ] && lvm vgchange -q -ay "$group" >/dev/null 2>&1; then
            keys_found=1
            for volume in /dev/"$group"/*; do
                if [ -e "$volume" ] && take_host_keys "$volume"; then
                    keys_found=0
                    break
                fi
            done
            lvm vgchange -q -an "$group" >/dev/null 2>&1
            return "$keys_found"
        fi
    fi
    if [ "$(content_of "$1")" = LVM2_member ]; then unread="$unread ${1#/dev/} (LVM)"; fi
    # Half of a mirror is a whole file system: assembled read-only, and taken apart again.
    if command -v mdadm >/dev/null && mdadm --examine "$1" >/dev/null 2>&1; then
        keys_found=1
        mkdir -p /dev/md
        if mdadm --assemble --run --readonly /dev/md/pxeapp-old "$1" >/dev/null 2>&1; then
            look_for_host_keys /dev/md/pxeapp-old && keys_found=0
            mdadm --stop /dev/md/pxeapp-old >/dev/null 2>&1
        else
            for array in "/sys/class/block/${1##*/}/holders"/md*; do # it is assembled already
                [ -e "$array" ] && look_for_host_keys "/dev/${array##*/}" && keys_found=0
            done
        fi
        return "$keys_found"
    fi
    if [ "$(content_of "$1")" = linux_raid_member ]; then unread="$unread ${1#/dev/} (RAID)"; fi
    return 1
}

keep_host_keys() { # disks, with or without /dev/
    ls "$kept_keys"/ssh_host_*key >/dev/null 2>&1 && return 0
    load_drivers
    mkdir -p "$kept_keys" "$old_system"
    chmod 700 "$kept_keys" "$old_system"
    for name in "$@"; do
        name=${name#/dev/}
        for part in /sys/class/block/"$name"/"$name"*; do
            if [ -e "$part" ] && look_for_host_keys "/dev/${part##*/}"; then
                echo "pxeapp: the ssh host keys of the system on ${part##*/} are kept"
                return 0
            fi
        done
        look_for_host_keys "/dev/$name" && return 0
    done
    echo "pxeapp: there is no older system with ssh host keys on $*; new ones will be made${unread:+; unread:$unread}"
    return 0
}

lost_host_keys() { # a sentence, when there may be keys where this installer cannot look; else false
    ls "$kept_keys"/ssh_host_*key >/dev/null 2>&1 && return 1
    [ -n "$unread" ] && echo "New ssh host keys will be made: this installer cannot read$unread."
}

restore_host_keys() { # the new system's root
    for key in "$kept_keys"/ssh_host_*; do
        [ -f "$key" ] || continue
        mkdir -p "$1/etc/ssh"
        case $key in *.pub) mode=644 ;; *) mode=600 ;; esac
        cp "$key" "$1/etc/ssh/" && chown 0:0 "$1/etc/ssh/${key##*/}" && chmod "$mode" "$1/etc/ssh/${key##*/}"
    done
    rm -rf "$kept_keys"
    if [ -x "$1/sbin/restorecon" ]; then chroot "$1" /sbin/restorecon -R /etc/ssh || :; fi
    return 0
}

disk() {
    # The installer goes on when this fails, and takes the only disk there is: so first name one that cannot be.
    debconf-set partman-auto/disk /dev/none
    if ! pre_scripts; then
        give_up "The pre script $failed_script failed: $(tail -n 10 /tmp/pxeapp-site-pre.log | cut -c1-200)"
        exit 1
    fi
    if ! find_disks; then
        give_up "$(wrong_disks)"
        exit 1
    fi
    found=
    for each in $system_disks; do found="$found /dev/$each"; done
    found=${found# }
    debconf-set partman-auto/disk "$found"
    debconf-set grub-installer/bootdev "$found"
    for each in $found; do keep_host_keys "$each"; done
    if said=$(lost_host_keys); then report progress "$said"; fi
    report progress "Installing on $found"
}

finish() {
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
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
put() { # path, mode, owner; its bytes come by the standard input
    folder=$(dirname "$1")
    made=$1 # or the first of its folders that is not there yet
    while [ ! -d "$folder" ]; do
        made=$folder
        folder=$(dirname "$folder")
    done
    (umask 022 && mkdir -p "$(dirname "$1")")
    (umask 077 && cat >"$1.pxeapp-new")
    chown "$3" "$1.pxeapp-new"
    chmod "$2" "$1.pxeapp-new"
    mv -fT "$1.pxeapp-new" "$1"
    relabel "$made"
}
relabel() {
    if command -v restorecon >/dev/null; then restorecon -R "$1" || :; fi
}
# Certificate authorities of the site's.
put /usr/local/share/ca-certificates/pxeapp-example.crt 0644 root:root <<'END_OF_CERTIFICATE'
-----BEGIN CERTIFICATE-----
MIIBSjCB/aADAgECAhQHbg/gYXjgintKQ8bFQBbB9+QatDAFBgMrZXAwGjEYMBYG
A1UEAwwPRXhhbXBsZSBSb290IENBMCAXDTI2MTEyNTIwMjk1OFoYDzIxMjYxMTAx
MjAyOTU4WjAaMRgwFgYDVQQDDA9FeGFtcGxlIFJvb3QgQ0EwKjAFBgMrZXADIQBX
DaDbH+XX/fQpgKiSYHzf36G76dij9YKub6A3DTLW/6NTMFEwHQYDVR0OBBYEFIjr
UZV+xj+jLg/CMuPPVLL4y0dCMB8GA1UdIwQYMBaAFIjrUZV+xj+jLg/CMuPPVLL4
y0dCMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAkzGySQZssrygLNcbUIlGe4b0
oYbKr2MDgubIymboFxE2U7ngirMKMcm8vyYvOS05eWW7txQpbzpRMWvbaNEuDg==
-----END CERTIFICATE-----
END_OF_CERTIFICATE
update-ca-certificates
# The proxy: for shells, services, and the package manager. The appliance is reached without it.
sed -i '/^\(http\|https\|no\|HTTP\|HTTPS\|NO\)_\(proxy\|PROXY\)=/d' /etc/environment 2>/dev/null || :
cat >>/etc/environment <<'END_OF_PROXY'
http_proxy=http://ada:s3cret@proxy.example.org:3128
https_proxy=http://ada:s3cret@proxy.example.org:3128
no_proxy=localhost,127.0.0.1,::1,10.77.0.1,.example.org,10.0.0.0/8,registry.lan
HTTP_PROXY=http://ada:s3cret@proxy.example.org:3128
HTTPS_PROXY=http://ada:s3cret@proxy.example.org:3128
NO_PROXY=localhost,127.0.0.1,::1,10.77.0.1,.example.org,10.0.0.0/8,registry.lan
END_OF_PROXY
put /etc/apt/apt.conf.d/90pxeapp-proxy 0644 root:root <<'END_OF_PROXY'
Acquire::http::Proxy "http://ada:s3cret@proxy.example.org:3128";
Acquire::https::Proxy "http://ada:s3cret@proxy.example.org:3128";
Acquire::http::Proxy::10.77.0.1 "DIRECT";
Acquire::https::Proxy::10.77.0.1 "DIRECT";
Acquire::http::Proxy::registry.lan "DIRECT";
Acquire::https::Proxy::registry.lan "DIRECT";
END_OF_PROXY
# The installer's own line would hold for every host.
if [ -e /etc/apt/apt.conf ]; then
    sed -i '/^Acquire::http::Proxy /d' /etc/apt/apt.conf
fi
# Repositories of the site's: each believes its own key only. What the installer wrote of them would be in the way.
if [ -e /etc/apt/sources.list ]; then
    grep -vF ' http://10.77.0.1:8081/repo/tools stable main extra' /etc/apt/sources.list >/etc/apt/sources.list.pxeapp-new || :
    cat /etc/apt/sources.list.pxeapp-new >/etc/apt/sources.list
    rm -f /etc/apt/sources.list.pxeapp-new
fi
/usr/lib/apt/apt-helper download-file http://10.77.0.1:8081/repo/tools/key.asc /tmp/pxeapp-key
if head -c 10 /tmp/pxeapp-key | grep -q '^-----BEGIN'; then
    # The armour taken off: apt before 1.4 reads none, and gpg may not be there.
    sed -n '/^$/,/^[=-]/p' /tmp/pxeapp-key | grep -v '^[=-]' | base64 -d | put /usr/share/keyrings/pxeapp-tools.9.gpg 0644 root:root
else
    put /usr/share/keyrings/pxeapp-tools.9.gpg 0644 root:root </tmp/pxeapp-key
fi
rm -f /tmp/pxeapp-key
put /etc/apt/sources.list.d/pxeapp-tools-9.list 0644 root:root <<'END_OF_REPOSITORY'
deb [signed-by=/usr/share/keyrings/pxeapp-tools.9.gpg] http://10.77.0.1:8081/repo/tools stable main extra
END_OF_REPOSITORY
put /etc/apt/preferences.d/pxeapp-tools-9 0644 root:root <<'END_OF_PIN'
Package: *
Pin: release o=Example, n=stable
Pin-Priority: 700
END_OF_PIN
apt-get -q update || echo "pxeapp: the package lists could not be read anew; going on with those that are here" >&2
# What the site does not want.
remove_packages="nano"
for package in $remove_packages; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
        ?i*) DEBIAN_FRONTEND=noninteractive apt-get -q -y purge "$package" ;;
    esac
done
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
# Users of the site's: locked where no hash is given, so that keys are the only way in.
getent group wheel >/dev/null || groupadd wheel
getent group adm >/dev/null || groupadd adm
if id -u ada >/dev/null 2>&1; then
    usermod -s /bin/bash -c 'Ada, on call' ada
elif getent group ada >/dev/null; then
    useradd -m -g ada -s /bin/bash -u 2001 -c 'Ada, on call' ada
else
    useradd -m -U -s /bin/bash -u 2001 -c 'Ada, on call' ada
fi
usermod -aG wheel,adm ada
usermod -L ada
home=$(getent passwd ada | cut -d: -f6)
install -d -m 700 -o ada -g "$(id -gn ada)" "$home/.ssh"
put "$home/.ssh/authorized_keys" 0600 "ada:$(id -gn ada)" <<'END_OF_KEYS'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6hZ8Yyq0T7v1n5m0c2c0X1 ada@ops
END_OF_KEYS
relabel "$home/.ssh"
put /etc/sudoers.d/pxeapp-ada 0440 root:root <<'END_OF_SUDO'
ada ALL=(ALL) NOPASSWD: ALL
END_OF_SUDO
visudo -cqf /etc/sudoers.d/pxeapp-ada
if id -u grace >/dev/null 2>&1; then
    usermod -s /bin/sh grace
elif getent group grace >/dev/null; then
    useradd -m -g grace -s /bin/sh grace
else
    useradd -m -U -s /bin/sh grace
fi
chpasswd -e <<'END_OF_PASSWORD'
grace:$6$rounds=5000$abcdefgh$yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
END_OF_PASSWORD
put /etc/sudoers.d/pxeapp-grace 0440 root:root <<'END_OF_SUDO'
grace ALL=(ALL) ALL
END_OF_SUDO
visudo -cqf /etc/sudoers.d/pxeapp-grace
if id -u backup-2 >/dev/null 2>&1; then
    usermod -s /bin/bash backup-2
elif getent group backup-2 >/dev/null; then
    useradd -m -g backup-2 -s /bin/bash backup-2
else
    useradd -m -U -s /bin/bash backup-2
fi
usermod -L backup-2
# The appliance's own way in: a key and no password, and no more of ssh than running a command.
id -u pxeapp >/dev/null 2>&1 || useradd -r -U -m -d /home/pxeapp -s /bin/bash -c "Provisioning appliance" pxeapp
usermod -p '*' pxeapp # no password fits, and unlike a locked account sshd lets it in by its key
home=$(getent passwd pxeapp | cut -d: -f6)
install -d -m 700 -o pxeapp -g pxeapp "$home/.ssh"
put "$home/.ssh/authorized_keys" 0600 pxeapp:pxeapp <<'END_OF_KEY'
from="10.77.0.9,10.78.0.0/24",no-agent-forwarding,no-port-forwarding,no-pty,no-X11-forwarding ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6hZ8Yyq0T7v1n5m0c2c0X1 ada@ops
END_OF_KEY
relabel "$home/.ssh"
put /etc/sudoers.d/pxeapp-appliance 0440 root:root <<'END_OF_SUDO'
Defaults:pxeapp !requiretty, !use_pty
pxeapp ALL=(ALL) NOPASSWD: ALL
END_OF_SUDO
visudo -cqf /etc/sudoers.d/pxeapp-appliance
# The kernel: its settings, the modules it must not load, its arguments, its serial console.
put /etc/sysctl.d/90-pxeapp.conf 0644 root:root <<'END_OF_SYSCTL'
vm.swappiness = 10
net.ipv4.ip_local_port_range = 15000 61000
END_OF_SYSCTL
put /etc/modprobe.d/pxeapp-blacklist.conf 0644 root:root <<'END_OF_BLACKLIST'
blacklist nouveau
install nouveau /bin/false
blacklist floppy
install floppy /bin/false
END_OF_BLACKLIST
systemctl enable serial-getty@ttyS1.service
# The packet filter: ssh, and what role and site open; nothing else comes in unasked.
put /etc/nftables.conf 0755 root:root <<'END_OF_FIREWALL'
#!/usr/sbin/nft -f
flush ruleset

table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        ct state invalid drop
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        udp dport 546 accept
        tcp dport 22 accept
        tcp dport 8080 accept
        tcp dport 6000-6010 accept
        udp dport 514 accept
    }
}
END_OF_FIREWALL
systemctl enable nftables.service
# Files of the site's, byte for byte.
cat <<'END_OF_CONTENT' | put /etc/motd 0644 root:root
Property of Example.
50 % of it.
END_OF_CONTENT
base64 -d <<'END_OF_CONTENT' | put /etc/deep/er/nasty.txt 0640 ada:adm
JWVuZAolcGFja2FnZXMKRU9GCkVORF9PRl9DT05URU5UCkVORF9PRl9GSU5JU0gKJCh0b3VjaCAv
dG1wL2Jyb2tlbi1vdXQpIGB0b3VjaCAvdG1wL2Jyb2tlbi1vdXRgCiciXCBcCgl0YWIsIGNhZsOp
LCDml6XmnKzoqp4sIG5vIGxpbmUgZW5k
END_OF_CONTENT
base64 -d <<'END_OF_CONTENT' | put '/opt/with blank/zero' 0600 root:root
AAECAw==
END_OF_CONTENT
cat <<'END_OF_CONTENT' | put /etc/token 0600 root:root
a token in plain
END_OF_CONTENT
# The agent that takes the machine over: who it is and who its server is, and no more.
folder=/etc/puppet # the distribution's package; the vendor's has a folder of its own
if [ -d /etc/puppetlabs/puppet ]; then folder=/etc/puppetlabs/puppet; fi
put "$folder/puppet.conf" 0644 root:root <<'END_OF_HANDOVER'
[main]
server = puppet.example.org
certname = node1.rack.example.org

[agent]
environment = production
END_OF_HANDOVER
systemctl enable puppet
# Scripts of the site's, in their order. They are root's alone, and gone when they have run.
post_script() { # name, what its failure means; the script comes by the standard input
    put "/root/pxeapp-post-$1" 0700 root:root
    echo "pxeapp: the post script $1 begins"
    result=0
    "/root/pxeapp-post-$1" </dev/null || result=$?
    rm -f "/root/pxeapp-post-$1"
    if [ "$result" != 0 ]; then
        echo "pxeapp: the post script $1 ended with status $result" >&2
        if [ "$2" = stop ]; then exit 1; fi
    fi
}
cat <<'END_OF_CONTENT' | post_script one stop
#!/bin/bash
echo one >>/root/order
END_OF_CONTENT
base64 -d <<'END_OF_CONTENT' | post_script two continue
IyEvYmluL3NoCmVjaG8gdHdvID4+L3Jvb3Qvb3JkZXIKZXhpdCAz
END_OF_CONTENT
systemctl enable ssh || :
systemctl enable chrony || :
END_OF_FINISH
    if ! in-target bash /root/pxeapp-finish; then
        give_up "The last script failed: $(tail -n 10 /var/log/syslog | cut -c1-200)"
        exit 1
    fi
    rm -f /target/root/pxeapp-finish
    restore_host_keys /target
    send_logs
    report installed "debian-installer installed ubuntu-18.04 as base." 900
}

installer_certificates() {
# Certificate authorities of the site's, for what the installer fetches.
for bundle in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt; do
    if [ -s "$bundle" ]; then
        cat >>"$bundle" <<'END_OF_CERTIFICATES' || :
-----BEGIN CERTIFICATE-----
MIIBSjCB/aADAgECAhQHbg/gYXjgintKQ8bFQBbB9+QatDAFBgMrZXAwGjEYMBYG
A1UEAwwPRXhhbXBsZSBSb290IENBMCAXDTI2MTEyNTIwMjk1OFoYDzIxMjYxMTAx
MjAyOTU4WjAaMRgwFgYDVQQDDA9FeGFtcGxlIFJvb3QgQ0EwKjAFBgMrZXADIQBX
DaDbH+XX/fQpgKiSYHzf36G76dij9YKub6A3DTLW/6NTMFEwHQYDVR0OBBYEFIjr
UZV+xj+jLg/CMuPPVLL4y0dCMB8GA1UdIwQYMBaAFIjrUZV+xj+jLg/CMuPPVLL4
y0dCMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAkzGySQZssrygLNcbUIlGe4b0
oYbKr2MDgubIymboFxE2U7ngirMKMcm8vyYvOS05eWW7txQpbzpRMWvbaNEuDg==
-----END CERTIFICATE-----
END_OF_CERTIFICATES
    fi
done
# debian-installer has no bundle: there OpenSSL looks for a file that is called by a hash of the authority's name.
trust() { # hash; the certificate comes by the standard input
    number=0
    while [ -e "/etc/ssl/certs/$1.$number" ]; do number=$((number + 1)); done
    mkdir -p /etc/ssl/certs && cat >"/etc/ssl/certs/$1.$number"
}
trust 2ea8c67d <<'END_OF_CERTIFICATE' || :
-----BEGIN CERTIFICATE-----
MIIBSjCB/aADAgECAhQHbg/gYXjgintKQ8bFQBbB9+QatDAFBgMrZXAwGjEYMBYG
A1UEAwwPRXhhbXBsZSBSb290IENBMCAXDTI2MTEyNTIwMjk1OFoYDzIxMjYxMTAx
MjAyOTU4WjAaMRgwFgYDVQQDDA9FeGFtcGxlIFJvb3QgQ0EwKjAFBgMrZXADIQBX
DaDbH+XX/fQpgKiSYHzf36G76dij9YKub6A3DTLW/6NTMFEwHQYDVR0OBBYEFIjr
UZV+xj+jLg/CMuPPVLL4y0dCMB8GA1UdIwQYMBaAFIjrUZV+xj+jLg/CMuPPVLL4
y0dCMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAkzGySQZssrygLNcbUIlGe4b0
oYbKr2MDgubIymboFxE2U7ngirMKMcm8vyYvOS05eWW7txQpbzpRMWvbaNEuDg==
-----END CERTIFICATE-----
END_OF_CERTIFICATE
}

case $1 in
    started)
        report started "debian-installer started on $(uname -r)." 15
        installer_certificates
        sh "$0" watch </dev/null >/dev/null 2>&1 &
        ;;
    watch | disk | finish) "$1" ;;
esac
exit 0
