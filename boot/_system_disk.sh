# The disk to install on, as the kernel calls it: the one that is named, or the first that nobody can pull out.
# A disk that holds data or is to be kept is never it, whatever name it goes by.
system_disk() {
    kept=
{% for disk in spec.data_disks + spec.keep_disks %}
    kept="$kept $(readlink -f '/dev/{{ disk }}')"
{% endfor %}
{% if spec.system_disk %}
    disk=$(readlink -f '/dev/{{ spec.system_disk }}')
    case " $kept " in *" $disk "*) return 1 ;; esac
    [ -b "$disk" ] && echo "$disk"
{% else %}
    for block in /sys/block/*; do
        disk=/dev/$(basename "$block" | tr '!' '/')
        case ${disk#/dev/} in loop* | ram* | zram* | nbd* | dm-* | md* | fd* | sr*) continue ;; esac
        case " $kept " in *" $disk "*) continue ;; esac
        case $(readlink -f "$block") in */usb*) continue ;; esac
        case $(cat "$block/removable" "$block/ro" "$block/size" | tr '\n' ' ') in # removable, read-only, size
            "0 0 0 ") continue ;;
            "0 0 "*) ;;
            *) continue ;;
        esac
        [ -b "$disk" ] && echo "$disk" && return 0
    done
    return 1
{% endif %}
}
no_system_disk() {
    echo "The system disk {{ spec.system_disk or "(the first fixed one)" }} is not there, or is one to keep. There are:" \
        "$(cd /sys/block && for each in *; do echo "$each ($(cat "$each/size") sectors)"; done)"
}
