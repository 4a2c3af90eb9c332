# Spare volume groups and file systems on disks beside the system's. Runs in the installed system. What is there from
# before the reinstallation stays, with its data, unless it is to be wiped: whoever reinstalls a node keeps its volumes.
group_of() { pvs --noheadings -o vg_name "/dev/$1" 2>/dev/null | tr -d ' '; }

wipe_disk() {
    lsblk -nrpo NAME "/dev/$1" | sort -r | while IFS= read -r node; do wipefs -aqf "$node" || return 1; done
}

# A volume group that also lies on a disk which nobody named is not ours to remove.
remove_group() { # name, disks
    local name=$1 disk at
    shift
    for at in $(pvs --noheadings -o pv_name -S "vg_name=$name" 2>/dev/null); do
        case " $* " in
            *" ${at#/dev/} "*) ;;
            *) echo "The volume group $name is on $at too, which is not to be wiped." >&2 && return 1 ;;
        esac
    done
    vgremove -ff -y "$name" || return 1
    for disk in "$@"; do
        [ -n "$(group_of "$disk")" ] || pvremove -ff -y "/dev/$disk" >/dev/null 2>&1 || :
    done
}

spare_group() { # name, keep or wipe, disks
    local name=$1 order=$2 disk old fresh=''
    shift 2
    for disk in "$@"; do
        [ "$order" = wipe ] || continue
        old=$(group_of "$disk")
        [ -z "$old" ] || remove_group "$old" "$@" || return 1
        wipe_disk "$disk" || return 1
    done
    for disk in "$@"; do
        old=$(group_of "$disk")
        [ "$old" != "$name" ] || continue
        [ -z "$old" ] || { echo "/dev/$disk is in the volume group $old." >&2; return 1; }
        if ! pvs "/dev/$disk" >/dev/null 2>&1; then
            # pvcreate would write over a partition table without a word.
            [ -z "$(wipefs "/dev/$disk")" ] || { echo "/dev/$disk is not empty." >&2; return 1; }
            pvcreate -y "/dev/$disk" || return 1
        fi
        fresh="$fresh /dev/$disk"
    done
    # shellcheck disable=SC2086  # names of disks hold no spaces
    if [ -n "$fresh" ] && vgs "$name" >/dev/null 2>&1; then
        vgextend "$name" $fresh || return 1
    elif [ -n "$fresh" ]; then
        vgcreate "$name" $fresh || return 1
    fi
    # EL9 and later see only the devices of a list; its filters in lvm.conf mean nothing then.
    ! command -v vgimportdevices >/dev/null || [ ! -d /etc/lvm/devices ] || vgimportdevices "$name"
}

spare_filesystem() { # kind, keep or wipe, mount point with * for the number or nothing, disks
    local kind=$1 order=$2 place=$3 disk node number=0 at uuid
    shift 3
    for disk in "$@"; do
        node=/dev/$disk
        number=$((number + 1))
        [ "$order" != wipe ] || wipe_disk "$disk" || return 1
        if [ "$(blkid -p -o value -s TYPE "$node")" != "$kind" ]; then
            "mkfs.$kind" -q "$node" </dev/null || return 1
        fi
        [ -n "$place" ] || continue
        at=$place
        case $place in *\**) at=${place%%\**}$number${place#*\*} ;; esac
        uuid=$(blkid -p -o value -s UUID "$node")
        mkdir -p "$at"
        printf 'UUID=%s %s %s noatime,nofail 0 2\n' "$uuid" "$at" "$kind" >>/etc/fstab
    done
}

# Which disks these are was found before the installation; the names stand above. None of them holds a space.
# shellcheck disable=SC2086,SC2154
spare_disks() {
{% for call in spare %}
    {{ call }} || return 1
{% endfor %}
}
spare_disks || exit 1
