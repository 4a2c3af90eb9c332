{% include "roles/_openstack/disks.sh" %}
# The volume group: as the installer made it, or of the data disks. A group that is there is never changed.
volume_group() {
    modprobe dm_thin_pool || :
    if ! vgs {{ vars.volume_group }} >/dev/null 2>&1; then
        disks=$(data_disks)
        [ -n "$disks" ] || { echo "There is no volume group {{ vars.volume_group }} and no data disk to make it of." && false; }
        for disk in $disks; do may_be_used "$disk"; done
        for disk in $disks; do pvcreate --yes "$disk"; done
        echo "$disks" | xargs vgcreate {{ vars.volume_group }}
    fi
{% if family == "el" %}
    # LVM sees only what is in its list of devices (EL9 and later), whatever its filters say.
    if command -v vgimportdevices >/dev/null; then vgimportdevices {{ vars.volume_group }}; fi
{% endif %}
    vgs {{ vars.volume_group }}
}
step "The volume group {{ vars.volume_group }}" volume_group

cinder_volume() {
    mkdir -p /var/lib/cinder/volumes
    chown cinder:cinder /var/lib/cinder/volumes
    run {{ "target openstack-cinder-volume" if family == "el" else "tgt cinder-volume" }}
}
step "cinder-volume runs" cinder_volume

registered() {
    runuser -u cinder -- cinder-manage service list 2>/dev/null |
        awk -v me="$(hostname)@{{ vars.volume_backend }}" '$1 == "cinder-volume" && $2 == me && /:-\)/ {found = 1} END {exit !found}'
}
step "cinder knows this node" registered
