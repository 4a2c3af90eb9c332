# The role network: written by pxeapp at the end of the installation, and run once, in the installed system.
role_file() { # path, mode, owner; the text comes on standard input
    mkdir -p "$(dirname "$1")"
    (umask 077 && cat >"$1.pxeapp")
    chown "$3" "$1.pxeapp"
    chmod "$2" "$1.pxeapp"
    mv -f "$1.pxeapp" "$1"
    if command -v restorecon >/dev/null; then restorecon "$1" || :; fi
}

# Kernel modules.
role_file /etc/modules-load.d/pxeapp-role.conf 0644 root:root <<'END_OF_ROLE_FILE'
openvswitch
END_OF_ROLE_FILE

# Kernel settings.
role_file /etc/sysctl.d/90-pxeapp-role.conf 0644 root:root <<'END_OF_ROLE_FILE'
net.ipv4.conf.all.rp_filter = 0
net.ipv4.conf.default.rp_filter = 0
net.ipv4.ip_forward = 1
net.ipv6.conf.all.forwarding = 1
END_OF_ROLE_FILE

# The firewall.
if command -v firewall-offline-cmd >/dev/null; then
    firewall-offline-cmd -q --add-port=4789/udp || :
fi

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

role_file /etc/neutron/neutron.conf 0640 root:neutron <<'END_OF_ROLE_FILE'
# Written by pxeapp: neutron's agents on node1, a network.
[DEFAULT]
transport_url = rabbit://openstack:rabbit-password-0123@10.77.0.10:5672/
core_plugin = ml2
auth_strategy = keystone
state_path = /var/lib/neutron
log_dir = /var/log/neutron
debug = false

[oslo_concurrency]
lock_path = /var/lib/neutron/tmp

[agent]
root_helper = sudo neutron-rootwrap /etc/neutron/rootwrap.conf
END_OF_ROLE_FILE

role_file /etc/neutron/plugins/ml2/openvswitch_agent.ini 0640 root:neutron <<'END_OF_ROLE_FILE'
# Written by pxeapp.
[ovs]
local_ip = @MY_ADDRESS@

[agent]
tunnel_types = vxlan
l2_population = true

[securitygroup]
enable_security_group = true
firewall_driver = openvswitch
END_OF_ROLE_FILE

role_file /etc/neutron/l3_agent.ini 0640 root:neutron <<'END_OF_ROLE_FILE'
# Written by pxeapp.
[DEFAULT]
interface_driver = openvswitch
debug = false
END_OF_ROLE_FILE

role_file /etc/neutron/dhcp_agent.ini 0640 root:neutron <<'END_OF_ROLE_FILE'
# Written by pxeapp.
[DEFAULT]
interface_driver = openvswitch
dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq
enable_isolated_metadata = true
dnsmasq_local_resolv = true
debug = false
END_OF_ROLE_FILE

role_file /etc/neutron/metadata_agent.ini 0640 root:neutron <<'END_OF_ROLE_FILE'
# Written by pxeapp.
[DEFAULT]
nova_metadata_host = 10.77.0.10
metadata_proxy_shared_secret = metadata-secret-0123
metadata_workers = 2
debug = false
END_OF_ROLE_FILE

# The checklist of the first boot, and the unit that runs it. It holds passwords: root's alone, and gone once it is done.
role_file /usr/local/sbin/pxeapp-role 0700 root:root <<'END_OF_ROLE_SCRIPT'
#!/bin/bash
# The first boot of the role network, written by pxeapp. Each step can be done twice, so that it may be run again:
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

# It waits for its controller: keystone answers there.
keystone_answers() {
    curl -sS --noproxy '*' --max-time 10 -o /dev/null 'http://10.77.0.10:5000/v3'
}
step "The controller 10.77.0.10 answers" keystone_answers

# Bridges of Open vSwitch, then the agents that use them.
bridges() {
    systemctl start openvswitch
    ovs-vsctl --may-exist add-br br-int
}
step "Open vSwitch's bridges" bridges

agents() {
    run neutron-openvswitch-agent neutron-l3-agent neutron-dhcp-agent neutron-metadata-agent
}
step "Neutron's agents run" agents

# The controller sees its agents.
agents_seen() {
    export OS_AUTH_URL='http://10.77.0.10:5000/v3' OS_PROJECT_NAME=service OS_USERNAME=neutron
    export OS_PASSWORD=neutron-password-0123
    python3 /usr/local/libexec/pxeapp-cloud agents <<END_OF_WISHES
{"host": "$(hostname)", "region": "RegionOne"}
END_OF_WISHES
}
step "The controller sees the agents of this node" agents_seen

report setting_up "The role network is set up."
rm -f /etc/systemd/system/pxeapp-role.service /etc/systemd/system/multi-user.target.wants/pxeapp-role.service \
    /etc/systemd/system/pxeapp-first-boot.service.d/role.conf /usr/local/sbin/pxeapp-role
rmdir /etc/systemd/system/pxeapp-first-boot.service.d 2>/dev/null
exit 0
END_OF_ROLE_SCRIPT
role_file /etc/systemd/system/pxeapp-role.service 0644 root:root <<'END_OF_ROLE_FILE'
[Unit]
Description=The first boot of the role network
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
