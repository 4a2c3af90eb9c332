{% import "roles/_openstack/parts.ini" as parts with context %}
{% if vars.compute_driver is not defined or vars.compute_driver in ("kvm", "qemu") %}
{% set ovs_unit = "openvswitch" if family == "el" else "openvswitch-switch" %}
# Bridges of Open vSwitch, then the agents that use them.
bridges() {
    systemctl start {{ ovs_unit }}
    ovs-vsctl --may-exist add-br br-int
{% for mapping in vars.bridge_mappings %}
    ovs-vsctl --may-exist add-br {{ mapping.split(":")[-1] | sh }}
{% if loop.first and vars.provider_interface %}
    ovs-vsctl --may-exist add-port {{ mapping.split(":")[-1] | sh }} {{ vars.provider_interface | sh }}
    ip link set {{ vars.provider_interface | sh }} up
{% endif %}
{% endfor %}
}
step "Open vSwitch's bridges" bridges
{% if vars.neutron == "ovn" %}

ovn() {
    address=$(sed -n 's/^my_ip = //p' /etc/nova/nova.conf 2>/dev/null)
    [ -n "$address" ] || address=$(ip -o route get "$(getent ahosts {{ vars.controller }} | awk '{print $1; exit}')" |
        sed -n 's/.* src \([^ ]*\).*/\1/p')
    ovs-vsctl set open . external-ids:ovn-remote=tcp:{{ parts.controller_host }}:6642 \
        external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip="$address"{% if vars.bridge_mappings %} \
        external-ids:ovn-bridge-mappings={{ vars.bridge_mappings | join(",") | sh }}{% endif %}{% if role == "network" or vars.bridge_mappings %} \
        external-ids:ovn-cms-options=enable-chassis-as-gw{% endif %}

    run {{ "ovn-controller" if family == "el" else "ovn-host" }} neutron-ovn-metadata-agent
}
step "OVN's controller and metadata agent" ovn
{% else %}

agents() {
    run neutron-openvswitch-agent{% if role == "network" %} neutron-l3-agent neutron-dhcp-agent neutron-metadata-agent{% endif %}

}
step "Neutron's agents run" agents
{% endif %}
{% endif %}
