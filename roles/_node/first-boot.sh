# It waits for its controller: keystone answers there.
{% import "roles/_openstack/parts.ini" as parts with context %}
keystone_answers() {
    curl -sS --noproxy '*' --max-time 10 -o /dev/null 'http://{{ parts.controller_host }}:5000/v3'
}
step "The controller {{ vars.controller }} answers" keystone_answers
