# The proxy: for shells, services, and the package manager. The appliance is reached without it.
{% set around = spec.reach.around | join(",") %}
sed -i '/^\(http\|https\|no\|HTTP\|HTTPS\|NO\)_\(proxy\|PROXY\)=/d' /etc/environment 2>/dev/null || :
cat >>/etc/environment <<'END_OF_PROXY'
http_proxy={{ site.proxy.url }}
https_proxy={{ site.proxy.url }}
no_proxy={{ around }}
HTTP_PROXY={{ site.proxy.url }}
HTTPS_PROXY={{ site.proxy.url }}
NO_PROXY={{ around }}
END_OF_PROXY
{% if apt %}
put /etc/apt/apt.conf.d/90pxeapp-proxy 0644 root:root <<'END_OF_PROXY'
Acquire::http::Proxy "{{ site.proxy.url }}";
Acquire::https::Proxy "{{ site.proxy.url }}";
{% for host in spec.reach.direct_hosts %}
Acquire::http::Proxy::{{ host }} "DIRECT";
Acquire::https::Proxy::{{ host }} "DIRECT";
{% endfor %}
END_OF_PROXY
# The installer's own line would hold for every host.
if [ -e /etc/apt/apt.conf ]; then
    sed -i '/^Acquire::http::Proxy /d' /etc/apt/apt.conf
fi
{% else %}
sed -i '/^proxy *=/d' {{ dialect.dnf }}
sed -i '/^\[main\]/a proxy={{ site.proxy.url }}' {{ dialect.dnf }}
{% for repository in spec.release.repositories if repository.url in spec.reach.direct %}
if [ -e /etc/yum.repos.d/{{ repository.name }}.repo ]; then
    sed -i '/^\[{{ repository.name }}\]/a proxy=_none_' /etc/yum.repos.d/{{ repository.name }}.repo
fi
{% endfor %}
{% endif %}
