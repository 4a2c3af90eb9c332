{# Data disks, as the machine names them. A disk that holds anything is only used when it is told so. #}
data_disks() { # prints the disks that there are, and says which are missing
    for path in{% for disk in spec.data_disks %} '/dev/{{ disk }}'{% endfor %}{% if not spec.data_disks %} ''{% endif %}; do
        [ -n "$path" ] || continue
        disk=$(readlink -f "$path")
        if [ -b "$disk" ]; then echo "$disk"; else echo "The data disk $path is not there." >&2 && return 1; fi
    done
}

is_empty() { # disk: no partition, file system, RAID or LVM on it, and in nobody's use
    [ -z "$(wipefs -n "$1")" ] && [ "$(lsblk -n -o NAME "$1" | wc -l)" = 1 ]
}

may_be_used() { # disk
    if is_empty "$1"; then return 0; fi
{% if vars.wipe_data_disks %}
    if lsblk -n -o MOUNTPOINT "$1" | grep -q .; then echo "$1 is mounted." && return 1; fi
    wipefs -a "$1"
    dd if=/dev/zero of="$1" bs=1M count=10 conv=fsync
    udevadm settle
{% else %}
    echo "$1 holds something: $(wipefs -n "$1" | tail -n +2 | head -c 200). Empty it with: wipefs -a $1; or say wipe_data_disks: true."
    return 1
{% endif %}
}
