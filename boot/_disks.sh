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
{% for call in resolve %}
    {{ call }}
{% endfor %}
    return 0
}
