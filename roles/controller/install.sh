{% set uwsgi = ["keystone/keystone-uwsgi.ini", "glance/glance-api-uwsgi.ini", "placement/placement-api-uwsgi.ini", "nova/nova-api-uwsgi.ini", "nova/nova-api-metadata-uwsgi.ini", "neutron/neutron-api-uwsgi.ini", "cinder/cinder-api-uwsgi.ini", "heat/heat-api-uwsgi.ini", "heat/heat-api-cfn-uwsgi.ini", "gnocchi/gnocchi-api-uwsgi.ini"] %}
# Few workers: each is a Python process of 100 MB and more. One thread stays one: such a service cannot have more.
{% if family == "debian" %}
for file in{% for name in uwsgi %} /etc/{{ name }}{% endfor %}; do
    [ ! -e "$file" ] || sed -i 's/^processes = .*/processes = {{ vars.workers }}/; s/^threads = [1-9][0-9].*/threads = 4/' "$file"
done
{% else %}
for file in /etc/apache2/sites-available/*.conf /etc/apache2/conf-available/*.conf /etc/httpd/conf.d/*.conf \
    /usr/share/keystone/wsgi-keystone.conf; do
    [ ! -e "$file" ] || sed -i '/^ *WSGIDaemonProcess/s/processes=[0-9]*/processes={{ vars.workers }}/' "$file"
done
{% endif %}
{% if family == "el" %}

# RDO leaves it to the administrator to say which plugin neutron uses and that keystone is served by httpd.
ln -sf /etc/neutron/plugins/ml2/ml2_conf.ini /etc/neutron/plugin.ini
ln -sf /usr/share/keystone/wsgi-keystone.conf /etc/httpd/conf.d/
{% endif %}
{% if family != "el" %}
{% import "roles/controller/units.ini" as unit with context %}

# They have no database yet: at the first boot they would only fail, again and again, and take its time.
for unit in{% for units in unit.of.values() %} {{ units }}{% endfor %} neutron-periodic-workers neutron-ovn-maintenance-worker; do
    systemctl disable "$unit" >/dev/null 2>&1 || :
done
{% endif %}
{% if vars.horizon and family == "debian" %}

# The package enables Apache's site for HTTPS, but not the module without which Apache then does not start.
[ -e /etc/apache2/mods-enabled/ssl.load ] || a2dissite -q default-ssl || :
{% endif %}
