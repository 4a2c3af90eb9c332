{% import "roles/_openstack/parts.ini" as parts with context %}
{% set web = {"el": "httpd", "ubuntu": "apache2", "debian": "apache2"}[family] %}
{% import "roles/controller/units.ini" as unit with context %}
{% set units = unit.of %}
{% set databases = [("keystone", "keystone", vars.keystone_password), ("glance", "glance", vars.glance_password), ("placement", "placement", vars.placement_password), ("nova", "nova", vars.nova_password), ("nova_api", "nova", vars.nova_password), ("nova_cell0", "nova", vars.nova_password), ("neutron", "neutron", vars.neutron_password)] %}
{% set users = [("glance", vars.glance_password), ("placement", vars.placement_password), ("nova", vars.nova_password), ("neutron", vars.neutron_password)] %}
{% set services = [("image", "glance", "9292"), ("placement", "placement", "8778"), ("compute", "nova", "8774/v2.1"), ("network", "neutron", "9696")] %}
{% if vars.cinder %}
{% set databases = databases + [("cinder", "cinder", vars.cinder_password)] %}
{% set users = users + [("cinder", vars.cinder_password)] %}
{% set services = services + [("volumev3", "cinderv3", "8776/v3/%(project_id)s"), ("block-storage", "cinder", "8776/v3/%(project_id)s")] %}
{% endif %}
{% if vars.heat %}
{% set databases = databases + [("heat", "heat", vars.heat_password)] %}
{% set users = users + [("heat", vars.heat_password)] %}
{% set services = services + [("orchestration", "heat", "8004/v1/%(project_id)s"), ("cloudformation", "heat-cfn", "8000/v1")] %}
{% endif %}
{% if vars.swift %}
{% set users = users + [("swift", vars.swift_password)] %}
{% set services = services + [("object-store", "swift", "8080/v1/AUTH_%(project_id)s")] %}
{% endif %}
{% if vars.telemetry %}
{% set databases = databases + [("gnocchi", "gnocchi", vars.gnocchi_password)] %}
{% set users = users + [("gnocchi", vars.gnocchi_password), ("ceilometer", vars.ceilometer_password)] %}
{% set services = services + [("metric", "gnocchi", "8041")] %}
{% endif %}
{% if vars.trove %}
{% set databases = databases + [("trove", "trove", vars.trove_password)] %}
{% set users = users + [("trove", vars.trove_password)] %}
{% set services = services + [("database", "trove", "8779/v1.0/%(project_id)s")] %}
{% endif %}
answers() { # port, path
    case $(curl -sS -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 20 "http://{{ parts.controller_host }}:$1/$2") in
        2?? | 300 | 401) ;;
        *) echo "Port $1 does not answer as it should." && return 1 ;;
    esac
}
as() { # user, command: with its own rights, so that its logs stay its own
    runuser -u "$1" -- "${@:2}"
}
{% if family == "el" %}

selinux() {
    ! selinuxenabled || setsebool -P httpd_can_network_connect=1 httpd_can_network_connect_db=1 httpd_can_network_memcache=1
}
step "SELinux lets the web server reach the services" selinux
{% endif %}

# The database, the message bus and the cache.
databases() {
    run mariadb
    "$(command -v mariadb || command -v mysql)" -u root <<'END_OF_SQL'
{% for name, user, password in databases if name == user %}
{% for host in ("localhost", "%") %}
CREATE USER IF NOT EXISTS '{{ user }}'@'{{ host }}' IDENTIFIED BY '{{ password }}';
ALTER USER '{{ user }}'@'{{ host }}' IDENTIFIED BY '{{ password }}';
{% endfor %}
{% endfor %}
{% for name, user, password in databases %}
CREATE DATABASE IF NOT EXISTS {{ name }};
GRANT ALL PRIVILEGES ON {{ name }}.* TO '{{ user }}'@'localhost', '{{ user }}'@'%';
{% endfor %}
END_OF_SQL
}
step "MariaDB and its databases" databases

bus() {
    run rabbitmq-server
    rabbitmqctl -q await_startup
    # The password goes in on standard input: the list of processes is for everybody to read. No -q there: RabbitMQ 4
    # counts its arguments, and with one more it waits for ever for an input that it has closed.
    if rabbitmqctl -q list_users | grep -q '^openstack\b'; then
        echo {{ vars.rabbit_password | sh }} | rabbitmqctl change_password openstack
    else
        echo {{ vars.rabbit_password | sh }} | rabbitmqctl add_user openstack
    fi
    rabbitmqctl -q set_permissions openstack '.*' '.*' '.*'
}
step "RabbitMQ and its user" bus

cache() {
    run memcached{{ " etcd" if vars.etcd }}
}
step "memcached{{ " and etcd" if vars.etcd }}" cache

# Keystone: who may do what, and where everything is.
keystone() {
    as keystone keystone-manage db_sync
    keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
    keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
    export OS_BOOTSTRAP_PASSWORD={{ vars.admin_password | sh }}
    keystone-manage bootstrap --bootstrap-region-id {{ vars.region }} \
        --bootstrap-admin-url 'http://{{ parts.controller_host }}:5000/v3/' \
        --bootstrap-internal-url 'http://{{ parts.controller_host }}:5000/v3/' \
        --bootstrap-public-url 'http://{{ parts.public_host }}:5000/v3/'
    unset OS_BOOTSTRAP_PASSWORD
    chown -R keystone:keystone /var/log/keystone
    run {{ units.keystone }}
    answers 5000 v3
}
step "Keystone" keystone

catalogue() {
    . /root/openrc
    python3 /usr/local/libexec/pxeapp-cloud identity <<'END_OF_WISHES'
{"region": "{{ vars.region }}", "roles": ["member", "reader"{{ ', "heat_stack_owner", "heat_stack_user"' if vars.heat }}],
 "users": [{% for name, password in users %}{"name": "{{ name }}", "password": "{{ password }}"}{{ ", " if not loop.last }}{% endfor %}],
 "services": [{% for kind, name, path in services %}

  {"type": "{{ kind }}", "name": "{{ name }}", "url": "http://{{ parts.public_host }}:{{ path }}"}{{ "," if not loop.last }}{% endfor %}

 ]}
END_OF_WISHES
{% if vars.heat %}
    python3 /usr/local/libexec/pxeapp-cloud domain <<'END_OF_WISHES'
{"domain": "heat", "user": "heat_domain_admin", "password": "{{ vars.heat_domain_password }}"}
END_OF_WISHES
{% endif %}
}
step "Users, services and endpoints" catalogue

# The services, in the order in which they need each other.
glance() {
    mkdir -p /var/lib/glance/images /var/lib/glance/staging /var/lib/glance/tasks
    chown glance:glance /var/lib/glance/images /var/lib/glance/staging /var/lib/glance/tasks
    as glance glance-manage db_sync
    run {{ units.glance }}
    answers 9292 ''
}
step "Glance" glance

placement() {
    as placement placement-manage db sync
    run {{ units.placement }}
    answers 8778 ''
}
step "Placement" placement

nova() {
    as nova nova-manage api_db sync
    as nova nova-manage cell_v2 map_cell0
    # One cell for each message bus, whatever it is called; cell0, which has none, has the first of all UUIDs.
    as nova nova-manage cell_v2 list_cells | grep -E '[0-9a-f]{8}-[0-9a-f]{4}-' | grep -vq ' 00000000-0000-0000-' ||
        as nova nova-manage cell_v2 create_cell --name={{ vars.cell }}
    as nova nova-manage db sync
    run {{ units.nova }}
    answers 8774 ''
}
step "Nova, with the cell {{ vars.cell }}" nova
{% if vars.neutron == "ovn" %}

ovn() {
    run {{ "ovn-northd" if family == "el" else "ovn-central" }}
    ovn-nbctl set-connection ptcp:6641:0.0.0.0 -- set connection . inactivity_probe=60000
    ovn-sbctl set-connection ptcp:6642:0.0.0.0 -- set connection . inactivity_probe=60000
}
step "OVN's databases" ovn
{% endif %}

neutron() {
    as neutron neutron-db-manage --config-file /etc/neutron/neutron.conf \
        --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head
    run {{ units.neutron }}
    for unit in neutron-periodic-workers neutron-ovn-maintenance-worker; do
        ! systemctl cat "$unit" >/dev/null 2>&1 || run "$unit"
    done
    answers 9696 ''
}
step "Neutron" neutron
{% if vars.cinder %}

cinder() {
    as cinder cinder-manage db sync
    run {{ units.cinder }}
    answers 8776 ''
}
step "Cinder" cinder
{% endif %}
{% if vars.heat %}

heat() {
    as heat heat-manage db_sync
    run {{ units.heat }}
    answers 8004 ''
}
step "Heat" heat
{% endif %}
{% if vars.swift %}

{% include "roles/_swift/rings.sh" %}

swift() {
    run {{ units.swift }}
    answers 8080 healthcheck
}
step "Swift's proxy" swift
{% endif %}
{% if vars.telemetry %}

telemetry() {
    mkdir -p /var/lib/gnocchi/locks
    chown gnocchi:gnocchi /var/lib/gnocchi /var/lib/gnocchi/locks
    as gnocchi gnocchi-upgrade
    run {{ units.gnocchi }}
    answers 8041 ''
    as ceilometer ceilometer-upgrade
    run {{ units.ceilometer }}
}
step "Gnocchi and ceilometer" telemetry
{% endif %}
{% if vars.trove %}

trove() {
    as trove trove-manage db_sync
    run {{ units.trove }}
    answers 8779 ''
}
step "Trove" trove
{% endif %}
{% if vars.horizon %}

horizon() {
{% if family == "el" %}
    grep -q WSGIApplicationGroup /etc/httpd/conf.d/openstack-dashboard.conf ||
        sed -i '1i WSGIApplicationGroup %{GLOBAL}' /etc/httpd/conf.d/openstack-dashboard.conf
{% endif %}
    run {{ web }}
    answers 80 {{ "dashboard" if family == "el" else "horizon" }}/auth/login/
}
step "Horizon" horizon
{% endif %}
