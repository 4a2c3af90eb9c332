{% import "roles/_openstack/parts.ini" as parts with context %}
# The controller sees its agents.
agents_seen() {
    export OS_AUTH_URL='http://{{ parts.controller_host }}:5000/v3' OS_PROJECT_NAME=service OS_USERNAME=neutron
    export OS_PASSWORD={{ vars.neutron_password | sh }}
    python3 /usr/local/libexec/pxeapp-cloud agents <<END_OF_WISHES
{"host": "$(hostname)", "region": "{{ vars.region }}"}
END_OF_WISHES
}
step "The controller sees the agents of this node" agents_seen
