# What every OpenStack node does: it knows its own address, and its clock is right.
{% import "roles/_openstack/parts.ini" as parts with context %}
own_address() {
{% if vars.my_address %}
    ip -o address show to {{ vars.my_address }} | grep -q . # it is really ours
{% else %}
    target=$(getent ahosts {{ vars.controller }} | awk '$1 !~ /^127\.|^::1/ {print $1; exit}')
    [ -n "$target" ] || { echo "The controller's name {{ vars.controller }} leads to no address." && false; }
    address=$(ip -o route get "$target" | sed -n 's/.* src \([^ ]*\).*/\1/p')
    [ -n "$address" ]
    case $address in 127.* | ::1) address=$target ;; esac # it is ourselves
    for folder in /etc/nova /etc/neutron /etc/cinder /etc/glance /etc/swift /etc/rsyncd.conf /etc/mysql /etc/my.cnf.d \
        /etc/memcached.conf /etc/sysconfig/memcached /etc/default /etc/ceilometer /etc/heat; do
        [ -e "$folder" ] || continue
        grep -rl '@MY_ADDRESS@' "$folder" | while read -r file; do sed -i "s/@MY_ADDRESS@/$address/g" "$file"; done
    done
{% endif %}
}
step "Its own address" own_address

right_time() {
    ! systemctl is-active --quiet chrony.service chronyd.service || chronyc -n waitsync 6 1 0 10 || :
}
step "Its clock" right_time
