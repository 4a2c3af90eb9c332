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
