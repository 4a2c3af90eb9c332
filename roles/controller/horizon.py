# Written by pxeapp: horizon's settings.
{% import "roles/_openstack/parts.ini" as parts with context %}
OPENSTACK_HOST = "{{ parts.controller_host }}"
OPENSTACK_KEYSTONE_URL = "http://%s:5000/v3" % OPENSTACK_HOST
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
OPENSTACK_KEYSTONE_MULTIDOMAIN_SUPPORT = True
OPENSTACK_KEYSTONE_DEFAULT_DOMAIN = "Default"
OPENSTACK_API_VERSIONS = {"identity": 3, "image": 2, "volume": 3}
SECRET_KEY = "{{ vars.horizon_secret }}"
ALLOWED_HOSTS = ["*"]
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.memcached.{{ "MemcachedCache" if now < at.yoga else "PyMemcacheCache" }}",
        "LOCATION": "127.0.0.1:11211",
    },
}
TIME_ZONE = "{{ spec.timezone }}"
{% if family == "ubuntu" %}
WEBROOT = "/horizon/"
COMPRESS_OFFLINE = True
DEFAULT_THEME = "default"
{% elif family == "el" %}
WEBROOT = "/dashboard/"
{% endif %}
