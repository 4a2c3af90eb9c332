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
