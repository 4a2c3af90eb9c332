{# Bash or busybox's shell, in the installer. #}
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
