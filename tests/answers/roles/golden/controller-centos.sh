# The role controller: written by pxeapp at the end of the installation, and run once, in the installed system.
role_file() { # path, mode, owner; the text comes on standard input
    mkdir -p "$(dirname "$1")"
    (umask 077 && cat >"$1.pxeapp")
    chown "$3" "$1.pxeapp"
    chmod "$2" "$1.pxeapp"
    mv -f "$1.pxeapp" "$1"
    if command -v restorecon >/dev/null; then restorecon "$1" || :; fi
}

# The firewall.
if command -v firewall-offline-cmd >/dev/null; then
    firewall-offline-cmd -q --add-port=80/tcp --add-port=3306/tcp --add-port=5672/tcp --add-port=5000/tcp --add-port=9292/tcp --add-port=8778/tcp --add-port=8774/tcp --add-port=8775/tcp --add-port=6080/tcp --add-port=9696/tcp --add-port=8776/tcp --add-port=8004/tcp --add-port=8000/tcp --add-port=8080/tcp --add-port=8041/tcp --add-port=8779/tcp || :
fi

role_file /etc/my.cnf.d/99-pxeapp.cnf 0644 root:root <<'END_OF_ROLE_FILE'
# Written by pxeapp. The other nodes reach it: each user has a password of its own.
[mysqld]
bind-address = 0.0.0.0
default-storage-engine = innodb
innodb_file_per_table = 1
innodb_buffer_pool_size = 256M
max_connections = 1000
collation-server = utf8mb3_general_ci
character-set-server = utf8mb3
END_OF_ROLE_FILE

role_file /etc/keystone/keystone.conf 0640 root:keystone <<'END_OF_ROLE_FILE'
# Written by pxeapp: node1, the controller of RegionOne, OpenStack epoxy.
[DEFAULT]
log_dir = /var/log/keystone
debug = false

[database]
connection = mysql+pymysql://keystone:keystone-password-0123@10.77.0.10/keystone?charset=utf8
max_pool_size = 5
max_overflow = 10

[token]
provider = fernet

[cache]
enabled = true
backend = dogpile.cache.memcached
memcache_servers = 127.0.0.1:11211
END_OF_ROLE_FILE

role_file /etc/glance/glance-api.conf 0640 root:glance <<'END_OF_ROLE_FILE'
# Written by pxeapp: node1, the controller of RegionOne, OpenStack epoxy.
[DEFAULT]
workers = 2
log_dir = /var/log/glance
enabled_backends = fs:file
debug = false

[glance_store]
default_backend = fs

[fs]
filesystem_store_datadir = /var/lib/glance/images/

[os_glance_staging_store]
filesystem_store_datadir = /var/lib/glance/staging/

[os_glance_tasks_store]
filesystem_store_datadir = /var/lib/glance/tasks/

[database]
connection = mysql+pymysql://glance:glance-password-0123@10.77.0.10/glance?charset=utf8
max_pool_size = 5
max_overflow = 10

[keystone_authtoken]
www_authenticate_uri = http://10.77.0.10:5000
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = glance
password = glance-password-0123
region_name = RegionOne
memcached_servers = 127.0.0.1:11211
service_token_roles_required = true
service_token_roles = service

[paste_deploy]
flavor = keystone

[oslo_concurrency]
lock_path = /var/lib/glance/tmp
END_OF_ROLE_FILE

role_file /etc/placement/placement.conf 0640 root:placement <<'END_OF_ROLE_FILE'
# Written by pxeapp: node1, the controller of RegionOne, OpenStack epoxy.
[DEFAULT]
log_dir = /var/log/placement
debug = false

[api]
auth_strategy = keystone

[placement_database]
connection = mysql+pymysql://placement:placement-password-0123@10.77.0.10/placement?charset=utf8

[keystone_authtoken]
www_authenticate_uri = http://10.77.0.10:5000
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = placement
password = placement-password-0123
region_name = RegionOne
memcached_servers = 127.0.0.1:11211
service_token_roles_required = true
service_token_roles = service

END_OF_ROLE_FILE

role_file /etc/nova/nova.conf 0640 root:nova <<'END_OF_ROLE_FILE'
# Written by pxeapp: node1, the controller of RegionOne, OpenStack epoxy.
[DEFAULT]
transport_url = rabbit://openstack:rabbit-password-0123@10.77.0.10:5672/
my_ip = @MY_ADDRESS@
state_path = /var/lib/nova
log_dir = /var/log/nova
osapi_compute_workers = 2
metadata_workers = 2
debug = false

[api_database]
connection = mysql+pymysql://nova:nova-password-0123@10.77.0.10/nova_api?charset=utf8
max_pool_size = 5

[database]
connection = mysql+pymysql://nova:nova-password-0123@10.77.0.10/nova?charset=utf8
max_pool_size = 5
max_overflow = 10

[keystone_authtoken]
www_authenticate_uri = http://10.77.0.10:5000
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = nova
password = nova-password-0123
region_name = RegionOne
memcached_servers = 127.0.0.1:11211
service_token_roles_required = true
service_token_roles = service

[service_user]
send_service_user_token = true
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = nova
password = nova-password-0123

[conductor]
workers = 2

[scheduler]
workers = 2
discover_hosts_in_cells_interval = 60

[vnc]
enabled = true
server_listen = 0.0.0.0
server_proxyclient_address = $my_ip
novncproxy_host = 0.0.0.0

[glance]
region_name = RegionOne

[cinder]
os_region_name = RegionOne
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = nova
password = nova-password-0123

[placement]
region_name = RegionOne
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = placement
password = placement-password-0123

[neutron]
region_name = RegionOne
service_metadata_proxy = true
metadata_proxy_shared_secret = metadata-secret-0123
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = neutron
password = neutron-password-0123

[oslo_concurrency]
lock_path = /var/lib/nova/tmp
END_OF_ROLE_FILE

role_file /etc/neutron/neutron.conf 0640 root:neutron <<'END_OF_ROLE_FILE'
# Written by pxeapp: node1, the controller of RegionOne, OpenStack epoxy.
[DEFAULT]
transport_url = rabbit://openstack:rabbit-password-0123@10.77.0.10:5672/
core_plugin = ml2
service_plugins = router
auth_strategy = keystone
state_path = /var/lib/neutron
log_dir = /var/log/neutron
api_workers = 2
rpc_workers = 2
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
debug = false

[database]
connection = mysql+pymysql://neutron:neutron-password-0123@10.77.0.10/neutron?charset=utf8
max_pool_size = 5
max_overflow = 10

[keystone_authtoken]
www_authenticate_uri = http://10.77.0.10:5000
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = neutron
password = neutron-password-0123
region_name = RegionOne
memcached_servers = 127.0.0.1:11211
service_token_roles_required = true
service_token_roles = service

[nova]
region_name = RegionOne
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = nova
password = nova-password-0123

[placement]
region_name = RegionOne
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = placement
password = placement-password-0123

[oslo_concurrency]
lock_path = /var/lib/neutron/tmp

[agent]
root_helper = sudo neutron-rootwrap /etc/neutron/rootwrap.conf
END_OF_ROLE_FILE

role_file /etc/neutron/plugins/ml2/ml2_conf.ini 0640 root:neutron <<'END_OF_ROLE_FILE'
# Written by pxeapp.
[ml2]
type_drivers = flat,vlan,vxlan
tenant_network_types = vxlan
mechanism_drivers = openvswitch,l2population
extension_drivers = port_security

[ml2_type_flat]
flat_networks = *

[ml2_type_vxlan]
vni_ranges = 1:65536

[securitygroup]
enable_security_group = true
END_OF_ROLE_FILE

role_file /usr/local/libexec/pxeapp-cloud 0755 root:root <<'END_OF_ROLE_FILE'
"""Asks keystone and nova for what a first boot needs. Written by pxeapp; nothing but Python's own library.

Who asks stands in OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME, so that no password is in the list of
processes. Everything can be asked for twice.
"""

import json
import os
import sys
import urllib.error
import urllib.request

ADMIN_ROLE, SERVICE_ROLE = "admin", "service"


def call(method, url, body=None, token=None, version=None):
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if version:
        headers["X-OpenStack-Nova-API-Version"] = version
    if token:
        headers["X-Auth-Token"] = token
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        text = answer.read()
        return (json.loads(text) if text else {}), answer.headers


class Cloud:
    def __init__(self):
        self.auth = os.environ["OS_AUTH_URL"].rstrip("/")
        user = {
            "name": os.environ["OS_USERNAME"], "domain": {"name": "Default"}, "password": os.environ["OS_PASSWORD"]
        }
        project = {"name": os.environ["OS_PROJECT_NAME"], "domain": {"name": "Default"}}
        said = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}
        answer, headers = call("POST", self.auth + "/auth/tokens", {"auth": said})
        self.token, self.catalog = headers["X-Subject-Token"], answer["token"].get("catalog", [])

    def ask(self, method, path, body=None, base=None, version=None):
        return call(method, (base or self.auth) + path, body, self.token, version)[0]

    def first(self, kind, query, base=None):
        found = self.ask("GET", "/%s?%s" % (kind, query), base=base)[kind]
        return found[0] if found else None

    def ensure(self, kind, one, query, values):
        found = self.first(kind, query)
        if found is None:
            print("new in %s: %s" % (kind, values.get("name", values.get("interface", ""))))
            found = self.ask("POST", "/" + kind, {one: values})[one]
        return found

    def endpoint(self, kind, region):
        for service in self.catalog:
            for each in service["endpoints"]:
                if service["type"] == kind and each["region"] == region and each["interface"] == "public":
                    return each["url"].rstrip("/")
        raise SystemExit("The catalogue has no %s in %s yet." % (kind, region))


def identity(cloud, said):
    """Services with their endpoints, and users with their roles in the project `service`."""
    domain = cloud.first("domains", "name=Default")["id"]
    project = cloud.ensure(
        "projects", "project", "name=service&domain_id=" + domain, {"name": "service", "domain_id": domain}
    )["id"]
    roles = [cloud.ensure("roles", "role", "name=" + name, {"name": name})["id"] for name in (ADMIN_ROLE, SERVICE_ROLE)]
    for name in said.get("roles", []):
        cloud.ensure("roles", "role", "name=" + name, {"name": name})
    for each in said.get("users", []):
        values = {"name": each["name"], "domain_id": domain, "password": each["password"]}
        user = cloud.ensure("users", "user", "name=%s&domain_id=%s" % (each["name"], domain), values)["id"]
        cloud.ask("PATCH", "/users/" + user, {"user": {"password": each["password"], "enabled": True}})
        for role in roles:
            cloud.ask("PUT", "/projects/%s/users/%s/roles/%s" % (project, user, role))
    region = said["region"]
    try:
        cloud.ask("GET", "/regions/" + region)
    except urllib.error.HTTPError:
        cloud.ask("POST", "/regions", {"region": {"id": region}})
    for each in said.get("services", []):
        query = "type=%s&name=%s" % (each["type"], each["name"])
        service = cloud.ensure("services", "service", query, {"type": each["type"], "name": each["name"]})["id"]
        for interface in ("public", "internal", "admin"):
            query = "service_id=%s&interface=%s&region_id=%s" % (service, interface, region)
            values = {"service_id": service, "interface": interface, "region_id": region, "url": each["url"]}
            found = cloud.ensure("endpoints", "endpoint", query, values)
            if found["url"] != each["url"]:
                cloud.ask("PATCH", "/endpoints/" + found["id"], {"endpoint": {"url": each["url"]}})


def domain(cloud, said):
    """A domain of its own with an administrator in it, as heat needs one."""
    found = cloud.ensure("domains", "domain", "name=" + said["domain"], {"name": said["domain"]})["id"]
    values = {"name": said["user"], "domain_id": found, "password": said["password"]}
    user = cloud.ensure("users", "user", "name=%s&domain_id=%s" % (said["user"], found), values)["id"]
    cloud.ask("PATCH", "/users/" + user, {"user": {"password": said["password"], "enabled": True}})
    role = cloud.ensure("roles", "role", "name=" + ADMIN_ROLE, {"name": ADMIN_ROLE})["id"]
    cloud.ask("PUT", "/domains/%s/users/%s/roles/%s" % (found, user, role))


def node(cloud, said):
    """Prints the identity that nova knows of this host's node, if it has been here before."""
    nova = cloud.endpoint("compute", said["region"])
    # A vSphere cluster has a name of its own: its node is found among all. Nova pages only where no name is asked for.
    all_of_them = said.get("driver") == "vmware"
    query = "limit=1000" if all_of_them else "hypervisor_hostname_pattern=" + said["host"]
    found, more = [], "/os-hypervisors/detail?" + query
    while more:
        try:  # since 2.53 a node's id is the one that it keeps for itself
            page = cloud.ask("GET", more, base=nova, version="2.53")["hypervisors"]
        except urllib.error.HTTPError as error:
            if error.code not in (404, 406):  # none of that name; a nova before Pike
                raise
            page = []
        found += page
        full = all_of_them and len(page) == 1000
        more = "/os-hypervisors/detail?%s&marker=%s" % (query, page[-1]["id"]) if full else ""
    known = [each["id"] for each in found if each.get("service", {}).get("host") == said["host"]]
    if len(known) > 1:
        raise SystemExit("nova knows more than one node of %s: %s." % (said["host"], ", ".join(known)))
    print("".join(known))


def join(cloud, said):
    """The compute service is up; it is in its availability zone and in its host aggregates."""
    nova = cloud.endpoint("compute", said["region"])
    rows = cloud.ask("GET", "/os-services?binary=nova-compute&host=" + said["host"], base=nova)["services"]
    if not any(row["state"] == "up" for row in rows):
        raise SystemExit("nova-compute of %s is not up yet." % said["host"])
    if not any(said["host"] in (each.get("hypervisor_hostname"), each.get("service", {}).get("host"))
               or said.get("driver") == "vmware" for each in cloud.ask("GET", "/os-hypervisors/detail", base=nova)["hypervisors"]):
        raise SystemExit("nova has not discovered %s yet." % said["host"])
    wanted = [(name, None) for name in said["aggregates"]]
    if said["zone"] != "nova":
        wanted.insert(0, (said["zone"], said["zone"]))
    for name, zone in wanted:
        known = {each["name"]: each for each in cloud.ask("GET", "/os-aggregates", base=nova)["aggregates"]}
        found = known.get(name)
        if found is None:
            values = {"name": name, "availability_zone": zone}
            found = cloud.ask("POST", "/os-aggregates", {"aggregate": values}, base=nova)["aggregate"]
        if said["host"] not in found.get("hosts", []):
            cloud.ask(
                "POST", "/os-aggregates/%s/action" % found["id"], {"add_host": {"host": said["host"]}}, base=nova
            )
            print("joined %s" % name)


def agents(cloud, said):
    """Neutron has heard of this host's agents not long ago."""
    neutron = cloud.endpoint("network", said["region"])
    rows = cloud.ask("GET", "/v2.0/agents?host=" + said["host"], base=neutron)["agents"]
    if not rows:
        raise SystemExit("neutron has heard nothing from %s yet." % said["host"])
    dead = [row["binary"] for row in rows if not row["alive"]]
    if dead:
        raise SystemExit("neutron hears nothing any more from %s." % ", ".join(dead))


def main():
    action, said = sys.argv[1], json.load(sys.stdin)
    try:
        {"identity": identity, "domain": domain, "join": join, "node": node, "agents": agents}[action](Cloud(), said)
    except urllib.error.HTTPError as error:
        raise SystemExit("%s %s: %s %s" % (action, error.geturl(), error.code, error.read()[:300].decode(errors="replace")))
    except (urllib.error.URLError, OSError) as error:
        raise SystemExit("%s: no answer: %s" % (action, error))


if __name__ == "__main__":
    main()
END_OF_ROLE_FILE

role_file /root/openrc 0600 root:root <<'END_OF_ROLE_FILE'
# Written by pxeapp: who does things as the cloud's admin reads this first (. /root/openrc).
export OS_AUTH_URL='http://10.77.0.10:5000/v3'
export OS_IDENTITY_API_VERSION=3
export OS_PROJECT_NAME=admin OS_PROJECT_DOMAIN_NAME=Default
export OS_USERNAME=admin OS_USER_DOMAIN_NAME=Default
export OS_PASSWORD=admin-password-0123
export OS_REGION_NAME=RegionOne
END_OF_ROLE_FILE

role_file /etc/cinder/cinder.conf 0640 root:cinder <<'END_OF_ROLE_FILE'
# Written by pxeapp: node1, the controller of RegionOne, OpenStack epoxy.
[DEFAULT]
transport_url = rabbit://openstack:rabbit-password-0123@10.77.0.10:5672/
auth_strategy = keystone
my_ip = @MY_ADDRESS@
state_path = /var/lib/cinder
log_dir = /var/log/cinder
osapi_volume_workers = 2
glance_api_servers = http://10.77.0.10:9292
rootwrap_config = /etc/cinder/rootwrap.conf
debug = false

[database]
connection = mysql+pymysql://cinder:cinder-password-0123@10.77.0.10/cinder?charset=utf8
max_pool_size = 5
max_overflow = 10

[keystone_authtoken]
www_authenticate_uri = http://10.77.0.10:5000
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = cinder
password = cinder-password-0123
region_name = RegionOne
memcached_servers = 127.0.0.1:11211
service_token_roles_required = true
service_token_roles = service

[service_user]
send_service_user_token = true
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = cinder
password = cinder-password-0123

[nova]
region_name = RegionOne
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = nova
password = nova-password-0123

[oslo_concurrency]
lock_path = /var/lib/cinder/tmp
END_OF_ROLE_FILE

role_file /etc/heat/heat.conf 0640 root:heat <<'END_OF_ROLE_FILE'
# Written by pxeapp: node1, the controller of RegionOne, OpenStack epoxy.
[DEFAULT]
transport_url = rabbit://openstack:rabbit-password-0123@10.77.0.10:5672/
log_dir = /var/log/heat
num_engine_workers = 2
region_name_for_services = RegionOne
heat_metadata_server_url = http://10.77.0.10:8000
heat_waitcondition_server_url = http://10.77.0.10:8000/v1/waitcondition
stack_domain_admin = heat_domain_admin
stack_domain_admin_password = heat-domain-password-0123
stack_user_domain_name = heat
debug = false

[heat_api]
workers = 2

[heat_api_cfn]
workers = 1

[database]
connection = mysql+pymysql://heat:heat-password-0123@10.77.0.10/heat?charset=utf8
max_pool_size = 5
max_overflow = 10

[keystone_authtoken]
www_authenticate_uri = http://10.77.0.10:5000
auth_type = password
auth_url = http://10.77.0.10:5000/v3
project_domain_name = Default
user_domain_name = Default
project_name = service
username = heat
password = heat-password-0123
region_name = RegionOne
memcached_servers = 127.0.0.1:11211
service_token_roles_required = true
service_token_roles = service

[trustee]
auth_type = password
auth_url = http://10.77.0.10:5000
username = heat
password = heat-password-0123
user_domain_name = Default

[clients_keystone]
auth_uri = http://10.77.0.10:5000
END_OF_ROLE_FILE

role_file /usr/share/openstack-dashboard/openstack_dashboard/local/local_settings.d/_90_pxeapp.py 0640 root:apache <<'END_OF_ROLE_FILE'
# Written by pxeapp: horizon's settings.
OPENSTACK_HOST = "10.77.0.10"
OPENSTACK_KEYSTONE_URL = "http://%s:5000/v3" % OPENSTACK_HOST
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
OPENSTACK_KEYSTONE_MULTIDOMAIN_SUPPORT = True
OPENSTACK_KEYSTONE_DEFAULT_DOMAIN = "Default"
OPENSTACK_API_VERSIONS = {"identity": 3, "image": 2, "volume": 3}
SECRET_KEY = "horizon-secret-0123"
ALLOWED_HOSTS = ["*"]
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": "127.0.0.1:11211",
    },
}
TIME_ZONE = "Etc/UTC"
WEBROOT = "/dashboard/"
END_OF_ROLE_FILE

# Few workers: each is a Python process of 100 MB and more. One thread stays one: such a service cannot have more.
for file in /etc/apache2/sites-available/*.conf /etc/apache2/conf-available/*.conf /etc/httpd/conf.d/*.conf \
    /usr/share/keystone/wsgi-keystone.conf; do
    [ ! -e "$file" ] || sed -i '/^ *WSGIDaemonProcess/s/processes=[0-9]*/processes=2/' "$file"
done

# RDO leaves it to the administrator to say which plugin neutron uses and that keystone is served by httpd.
ln -sf /etc/neutron/plugins/ml2/ml2_conf.ini /etc/neutron/plugin.ini
ln -sf /usr/share/keystone/wsgi-keystone.conf /etc/httpd/conf.d/

# The checklist of the first boot, and the unit that runs it. It holds passwords: root's alone, and gone once it is done.
role_file /usr/local/sbin/pxeapp-role 0700 root:root <<'END_OF_ROLE_SCRIPT'
#!/bin/bash
# The first boot of the role controller, written by pxeapp. Each step can be done twice, so that it may be run again:
# what does not work yet is tried again, and after a while reported as failed. Only then does it end without success.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
log=/var/log/pxeapp-role.log
give_up=$((SECONDS + 60 * 60))
(umask 077 && : >>"$log")

report() { # event, message
    message=$2
    message=${message//rabbit-password-0123/***}
    message=${message//nova-password-0123/***}
    message=${message//placement-password-0123/***}
    message=${message//neutron-password-0123/***}
    message=${message//cinder-password-0123/***}
    message=${message//glance-password-0123/***}
    message=${message//swift-password-0123/***}
    message=${message//metadata-secret-0123/***}
    message=${message//swift-hash-prefix-0123/***}
    message=${message//swift-hash-suffix-0123/***}
    message=${message//admin-password-0123/***}
    message=${message//keystone-password-0123/***}
    message=${message//heat-password-0123/***}
    message=${message//heat-domain-password-0123/***}
    message=${message//horizon-secret-0123/***}
    message=${message//ceilometer-password-0123/***}
    message=${message//gnocchi-password-0123/***}
    message=${message//trove-password-0123/***}
    message=$(printf '%s' "$message" | tr -c ' -~\n' ' ' | tr '"\\\n' "'/ " | tail -c 3000)
    for _ in 1 2 3; do
        case $(curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 10 \
            -H 'Content-Type: application/json' -d "{\"event\": \"$1\", \"message\": \"$message\"}" 'http://10.77.0.1:8081/c/CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC/events') in
            2?? | 404 | 422) return 0 ;;
        esac
        sleep 5
    done
}

step() { # what it is, command, arguments
    what=$1
    shift
    report setting_up "$what"
    said=$SECONDS
    while :; do
        printf '== %s %s\n' "$(date -u +%FT%TZ)" "$what" >>"$log"
        set -m # a process group of its own, so that what hangs can be ended with all that it started
        (set -e; "$@") >>"$log" 2>&1 </dev/null & # in the background: only there does set -e hold inside a condition
        tried=$! began=$SECONDS
        set +m
        while kill -0 "$tried" 2>/dev/null; do
            if [ "$SECONDS" -ge "$give_up" ] && [ $((SECONDS - began)) -ge 300 ]; then
                echo "It hung." >>"$log"
                kill -9 -- "-$tried"
            fi
            sleep 0.5
        done
        if wait "$tried"; then return 0; fi
        if [ "$SECONDS" -ge "$give_up" ]; then
            report setup_failed "$what: $(tail -n 12 "$log" | cut -c1-200)"
            exit 1
        fi
        if [ $((SECONDS - said)) -ge 300 ]; then
            report setting_up "$what: not yet. $(tail -n 2 "$log" | cut -c1-200)"
            said=$SECONDS
        fi
        sleep 5
    done
}

run() { # units: from now on they run, at each boot too
    systemctl enable "$@"
    systemctl restart "$@"
    sleep 5
    for unit in "$@"; do
        systemctl is-active --quiet "$unit" || { systemctl status --no-pager --lines 5 "$unit"; return 1; }
    done
}

# What every OpenStack node does: it knows its own address, and its clock is right.
own_address() {
    target=$(getent ahosts 10.77.0.10 | awk '$1 !~ /^127\.|^::1/ {print $1; exit}')
    [ -n "$target" ] || { echo "The controller's name 10.77.0.10 leads to no address." && false; }
    address=$(ip -o route get "$target" | sed -n 's/.* src \([^ ]*\).*/\1/p')
    [ -n "$address" ]
    case $address in 127.* | ::1) address=$target ;; esac # it is ourselves
    for folder in /etc/nova /etc/neutron /etc/cinder /etc/glance /etc/swift /etc/rsyncd.conf /etc/mysql /etc/my.cnf.d \
        /etc/memcached.conf /etc/sysconfig/memcached /etc/default /etc/ceilometer /etc/heat; do
        [ -e "$folder" ] || continue
        grep -rl '@MY_ADDRESS@' "$folder" | while read -r file; do sed -i "s/@MY_ADDRESS@/$address/g" "$file"; done
    done
}
step "Its own address" own_address

right_time() {
    ! systemctl is-active --quiet chrony.service chronyd.service || chronyc -n waitsync 6 1 0 10 || :
}
step "Its clock" right_time

answers() { # port, path
    case $(curl -sS -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 20 "http://10.77.0.10:$1/$2") in
        2?? | 300 | 401) ;;
        *) echo "Port $1 does not answer as it should." && return 1 ;;
    esac
}
as() { # user, command: with its own rights, so that its logs stay its own
    runuser -u "$1" -- "${@:2}"
}

selinux() {
    ! selinuxenabled || setsebool -P httpd_can_network_connect=1 httpd_can_network_connect_db=1 httpd_can_network_memcache=1
}
step "SELinux lets the web server reach the services" selinux

# The database, the message bus and the cache.
databases() {
    run mariadb
    "$(command -v mariadb || command -v mysql)" -u root <<'END_OF_SQL'
CREATE USER IF NOT EXISTS 'keystone'@'localhost' IDENTIFIED BY 'keystone-password-0123';
ALTER USER 'keystone'@'localhost' IDENTIFIED BY 'keystone-password-0123';
CREATE USER IF NOT EXISTS 'keystone'@'%' IDENTIFIED BY 'keystone-password-0123';
ALTER USER 'keystone'@'%' IDENTIFIED BY 'keystone-password-0123';
CREATE USER IF NOT EXISTS 'glance'@'localhost' IDENTIFIED BY 'glance-password-0123';
ALTER USER 'glance'@'localhost' IDENTIFIED BY 'glance-password-0123';
CREATE USER IF NOT EXISTS 'glance'@'%' IDENTIFIED BY 'glance-password-0123';
ALTER USER 'glance'@'%' IDENTIFIED BY 'glance-password-0123';
CREATE USER IF NOT EXISTS 'placement'@'localhost' IDENTIFIED BY 'placement-password-0123';
ALTER USER 'placement'@'localhost' IDENTIFIED BY 'placement-password-0123';
CREATE USER IF NOT EXISTS 'placement'@'%' IDENTIFIED BY 'placement-password-0123';
ALTER USER 'placement'@'%' IDENTIFIED BY 'placement-password-0123';
CREATE USER IF NOT EXISTS 'nova'@'localhost' IDENTIFIED BY 'nova-password-0123';
ALTER USER 'nova'@'localhost' IDENTIFIED BY 'nova-password-0123';
CREATE USER IF NOT EXISTS 'nova'@'%' IDENTIFIED BY 'nova-password-0123';
ALTER USER 'nova'@'%' IDENTIFIED BY 'nova-password-0123';
CREATE USER IF NOT EXISTS 'neutron'@'localhost' IDENTIFIED BY 'neutron-password-0123';
ALTER USER 'neutron'@'localhost' IDENTIFIED BY 'neutron-password-0123';
CREATE USER IF NOT EXISTS 'neutron'@'%' IDENTIFIED BY 'neutron-password-0123';
ALTER USER 'neutron'@'%' IDENTIFIED BY 'neutron-password-0123';
CREATE USER IF NOT EXISTS 'cinder'@'localhost' IDENTIFIED BY 'cinder-password-0123';
ALTER USER 'cinder'@'localhost' IDENTIFIED BY 'cinder-password-0123';
CREATE USER IF NOT EXISTS 'cinder'@'%' IDENTIFIED BY 'cinder-password-0123';
ALTER USER 'cinder'@'%' IDENTIFIED BY 'cinder-password-0123';
CREATE USER IF NOT EXISTS 'heat'@'localhost' IDENTIFIED BY 'heat-password-0123';
ALTER USER 'heat'@'localhost' IDENTIFIED BY 'heat-password-0123';
CREATE USER IF NOT EXISTS 'heat'@'%' IDENTIFIED BY 'heat-password-0123';
ALTER USER 'heat'@'%' IDENTIFIED BY 'heat-password-0123';
CREATE DATABASE IF NOT EXISTS keystone;
GRANT ALL PRIVILEGES ON keystone.* TO 'keystone'@'localhost', 'keystone'@'%';
CREATE DATABASE IF NOT EXISTS glance;
GRANT ALL PRIVILEGES ON glance.* TO 'glance'@'localhost', 'glance'@'%';
CREATE DATABASE IF NOT EXISTS placement;
GRANT ALL PRIVILEGES ON placement.* TO 'placement'@'localhost', 'placement'@'%';
CREATE DATABASE IF NOT EXISTS nova;
GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'localhost', 'nova'@'%';
CREATE DATABASE IF NOT EXISTS nova_api;
GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'localhost', 'nova'@'%';
CREATE DATABASE IF NOT EXISTS nova_cell0;
GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'localhost', 'nova'@'%';
CREATE DATABASE IF NOT EXISTS neutron;
GRANT ALL PRIVILEGES ON neutron.* TO 'neutron'@'localhost', 'neutron'@'%';
CREATE DATABASE IF NOT EXISTS cinder;
GRANT ALL PRIVILEGES ON cinder.* TO 'cinder'@'localhost', 'cinder'@'%';
CREATE DATABASE IF NOT EXISTS heat;
GRANT ALL PRIVILEGES ON heat.* TO 'heat'@'localhost', 'heat'@'%';
END_OF_SQL
}
step "MariaDB and its databases" databases

bus() {
    run rabbitmq-server
    rabbitmqctl -q await_startup
    # The password goes in on standard input: the list of processes is for everybody to read. No -q there: RabbitMQ 4
    # counts its arguments, and with one more it waits for ever for an input that it has closed.
    if rabbitmqctl -q list_users | grep -q '^openstack\b'; then
        echo rabbit-password-0123 | rabbitmqctl change_password openstack
    else
        echo rabbit-password-0123 | rabbitmqctl add_user openstack
    fi
    rabbitmqctl -q set_permissions openstack '.*' '.*' '.*'
}
step "RabbitMQ and its user" bus

cache() {
    run memcached
}
step "memcached" cache

# Keystone: who may do what, and where everything is.
keystone() {
    as keystone keystone-manage db_sync
    keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
    keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
    export OS_BOOTSTRAP_PASSWORD=admin-password-0123
    keystone-manage bootstrap --bootstrap-region-id RegionOne \
        --bootstrap-admin-url 'http://10.77.0.10:5000/v3/' \
        --bootstrap-internal-url 'http://10.77.0.10:5000/v3/' \
        --bootstrap-public-url 'http://10.77.0.10:5000/v3/'
    unset OS_BOOTSTRAP_PASSWORD
    chown -R keystone:keystone /var/log/keystone
    run httpd
    answers 5000 v3
}
step "Keystone" keystone

catalogue() {
    . /root/openrc
    python3 /usr/local/libexec/pxeapp-cloud identity <<'END_OF_WISHES'
{"region": "RegionOne", "roles": ["member", "reader", "heat_stack_owner", "heat_stack_user"],
 "users": [{"name": "glance", "password": "glance-password-0123"}, {"name": "placement", "password": "placement-password-0123"}, {"name": "nova", "password": "nova-password-0123"}, {"name": "neutron", "password": "neutron-password-0123"}, {"name": "cinder", "password": "cinder-password-0123"}, {"name": "heat", "password": "heat-password-0123"}],
 "services": [
  {"type": "image", "name": "glance", "url": "http://10.77.0.10:9292"},
  {"type": "placement", "name": "placement", "url": "http://10.77.0.10:8778"},
  {"type": "compute", "name": "nova", "url": "http://10.77.0.10:8774/v2.1"},
  {"type": "network", "name": "neutron", "url": "http://10.77.0.10:9696"},
  {"type": "volumev3", "name": "cinderv3", "url": "http://10.77.0.10:8776/v3/%(project_id)s"},
  {"type": "block-storage", "name": "cinder", "url": "http://10.77.0.10:8776/v3/%(project_id)s"},
  {"type": "orchestration", "name": "heat", "url": "http://10.77.0.10:8004/v1/%(project_id)s"},
  {"type": "cloudformation", "name": "heat-cfn", "url": "http://10.77.0.10:8000/v1"}
 ]}
END_OF_WISHES
    python3 /usr/local/libexec/pxeapp-cloud domain <<'END_OF_WISHES'
{"domain": "heat", "user": "heat_domain_admin", "password": "heat-domain-password-0123"}
END_OF_WISHES
}
step "Users, services and endpoints" catalogue

# The services, in the order in which they need each other.
glance() {
    mkdir -p /var/lib/glance/images /var/lib/glance/staging /var/lib/glance/tasks
    chown glance:glance /var/lib/glance/images /var/lib/glance/staging /var/lib/glance/tasks
    as glance glance-manage db_sync
    run openstack-glance-api
    answers 9292 ''
}
step "Glance" glance

placement() {
    as placement placement-manage db sync
    run httpd
    answers 8778 ''
}
step "Placement" placement

nova() {
    as nova nova-manage api_db sync
    as nova nova-manage cell_v2 map_cell0
    # One cell for each message bus, whatever it is called; cell0, which has none, has the first of all UUIDs.
    as nova nova-manage cell_v2 list_cells | grep -E '[0-9a-f]{8}-[0-9a-f]{4}-' | grep -vq ' 00000000-0000-0000-' ||
        as nova nova-manage cell_v2 create_cell --name=cell1
    as nova nova-manage db sync
    run openstack-nova-api openstack-nova-scheduler openstack-nova-conductor openstack-nova-novncproxy
    answers 8774 ''
}
step "Nova, with the cell cell1" nova

neutron() {
    as neutron neutron-db-manage --config-file /etc/neutron/neutron.conf \
        --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head
    run neutron-server
    for unit in neutron-periodic-workers neutron-ovn-maintenance-worker; do
        ! systemctl cat "$unit" >/dev/null 2>&1 || run "$unit"
    done
    answers 9696 ''
}
step "Neutron" neutron

cinder() {
    as cinder cinder-manage db sync
    run openstack-cinder-api openstack-cinder-scheduler
    answers 8776 ''
}
step "Cinder" cinder

heat() {
    as heat heat-manage db_sync
    run openstack-heat-api openstack-heat-api-cfn openstack-heat-engine
    answers 8004 ''
}
step "Heat" heat

horizon() {
    grep -q WSGIApplicationGroup /etc/httpd/conf.d/openstack-dashboard.conf ||
        sed -i '1i WSGIApplicationGroup %{GLOBAL}' /etc/httpd/conf.d/openstack-dashboard.conf
    run httpd
    answers 80 dashboard/auth/login/
}
step "Horizon" horizon

report setting_up "The role controller is set up."
rm -f /etc/systemd/system/pxeapp-role.service /etc/systemd/system/multi-user.target.wants/pxeapp-role.service \
    /etc/systemd/system/pxeapp-first-boot.service.d/role.conf /usr/local/sbin/pxeapp-role
rmdir /etc/systemd/system/pxeapp-first-boot.service.d 2>/dev/null
exit 0
END_OF_ROLE_SCRIPT
role_file /etc/systemd/system/pxeapp-role.service 0644 root:root <<'END_OF_ROLE_FILE'
[Unit]
Description=The first boot of the role controller
Wants=network-online.target
After=network.target network-online.target chronyd.service chrony.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
ExecStart=/bin/bash /usr/local/sbin/pxeapp-role

[Install]
WantedBy=multi-user.target
END_OF_ROLE_FILE
# The machine calls in as up only when this is through.
role_file /etc/systemd/system/pxeapp-first-boot.service.d/role.conf 0644 root:root <<'END_OF_ROLE_FILE'
[Unit]
Requires=pxeapp-role.service
After=pxeapp-role.service
END_OF_ROLE_FILE
systemctl enable pxeapp-role.service
