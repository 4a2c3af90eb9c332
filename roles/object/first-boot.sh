{% set prefix = "openstack-" if family == "el" else "" %}
{% include "roles/_openstack/disks.sh" %}
# Each data disk is d1, d2 and so on, in the order in which the machine names them. One that is ours already is kept.
disks() {
    number=0
    found=$(data_disks)
    for disk in $found; do
        number=$((number + 1))
        name=d$number
        mountpoint -q "/srv/node/$name" && continue # the installer made and mounted it
        if [ "$(blkid -p -s LABEL -o value "$disk")" != "swift-$name" ]; then
            may_be_used "$disk"
            mkfs.xfs -f -L "swift-$name" "$disk"
            udevadm settle
        fi
        mkdir -p "/srv/node/$name"
        grep -q "^LABEL=swift-$name " /etc/fstab ||
            echo "LABEL=swift-$name /srv/node/$name xfs noatime,logbufs=8,nofail 0 0" >>/etc/fstab
        systemctl daemon-reload
        mount "/srv/node/$name"
    done
    for place in /srv/node/*; do
        mountpoint -q "$place"
        chown swift:swift "$place"
    done
    if command -v restorecon >/dev/null; then restorecon -R /srv/node || :; fi
}
step "Swift's disks" disks

{% include "roles/_swift/rings.sh" %}

servers() {
    run {{ "rsyncd" if family == "el" else "rsync" }}
{% for server, helpers in [("account", ["auditor", "reaper", "replicator"]), ("container", ["auditor", "replicator", "updater"]), ("object", ["auditor", "replicator", "updater"])] %}
    run {{ prefix }}swift-{{ server }}{% for helper in helpers %} {{ prefix }}swift-{{ server }}-{{ helper }}{% endfor %}

{% endfor %}
}
step "Swift's servers run" servers

healthy() {
    address=$(sed -n 's/^bind_ip = //p' /etc/swift/object-server.conf)
    case $address in *:*) address="[$address]" ;; esac
    for port in 6200 6201 6202; do
        curl -sS --noproxy '*' --max-time 10 "http://$address:$port/healthcheck" | grep -q OK
    done
}
step "Swift's servers are healthy" healthy
