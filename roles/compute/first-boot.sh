{% import "roles/_openstack/parts.ini" as parts with context %}
# Nova's compute service registers; then the node joins its availability zone and its host aggregates.
export OS_AUTH_URL='http://{{ parts.controller_host }}:5000/v3' OS_PROJECT_NAME=service OS_USERNAME=nova
export OS_PASSWORD={{ vars.nova_password | sh }}

# Since 2023.1 nova gives a node an identity and refuses it without: installed anew, it takes up the one from before.
is_who_it_was() {
    [ ! -s /var/lib/nova/compute_id ] || return 0
    known=$(python3 /usr/local/libexec/pxeapp-cloud node <<<'{"host": "'"$(hostname)"'", "region": "{{ vars.region }}", "driver": "{{ vars.compute_driver }}"}')
    [ -n "$known" ] || return 0
    echo "This node is $known."
    printf '%s' "$known" >/var/lib/nova/compute_id.new
    chown nova:nova /var/lib/nova/compute_id.new
    mv /var/lib/nova/compute_id.new /var/lib/nova/compute_id
}
step "The node is who it was before, if it was there" is_who_it_was

compute_runs() {
{% if vars.compute_driver in ("kvm", "qemu") %}
    systemctl start libvirtd
    virsh -c qemu:///system version
{% if vars.compute_driver == "kvm" %}
    [ -e /dev/kvm ] || { echo "There is no /dev/kvm: switch virtualization on in the firmware, or say compute_driver: qemu." && false; }
{% endif %}
{% endif %}
{% set unit = "openstack-nova-compute" if family == "el" else "nova-compute" %}
{% if vars.compute_driver == "fake" %}
    # Nova loads drivers from its own folder only.
    nova=$(python3 -c 'import importlib.util as u; print(u.find_spec("nova").submodule_search_locations[0])')
    install -m 644 /usr/local/libexec/pxeapp-rehearsal-driver.py "$nova/virt/pxeapp_rehearsal.py"
{% endif %}
    run {{ unit }}
}
step "nova-compute runs" compute_runs
{% if vars.telemetry and vars.compute_driver in ("kvm", "qemu") %}

measured() {
    run {{ "openstack-ceilometer-compute" if family == "el" else "ceilometer-agent-compute" }}
}
step "Ceilometer measures this node's instances" measured
{% endif %}

joins() {
    python3 /usr/local/libexec/pxeapp-cloud join <<END_OF_WISHES
{"host": "$(hostname)", "region": "{{ vars.region }}", "zone": "{{ vars.availability_zone }}",
 "driver": "{{ vars.compute_driver }}", "aggregates": {{ vars.host_aggregates | list | tojson }}}
END_OF_WISHES
}
step "The controller knows this node: region {{ vars.region }}, {{ vars.cell }}, availability zone {{ vars.availability_zone }}" joins
