# Repositories of the site's.
{% for repository in site.repositories if repository.system %}
{% set key = "/etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-" ~ repository.name %}
{% if repository.inline_key %}
put {{ key }} 0644 root:root <<'END_OF_KEY'
{{ repository.armoured }}END_OF_KEY
rpm --import {{ key }}
{% elif repository.key %}
{# rpm would fetch it by itself, but by no proxy. #}
{% set proxy = site.proxy.url if site.proxy and repository.key_url not in spec.reach.direct else "" %}
curl -fsSL --retry 5 {{ "--proxy " ~ (proxy | sh) if proxy else "--noproxy '*'" }} -o {{ key }} {{ repository.key | sh }}
rpm --import {{ key }}
{% endif %}
put /etc/yum.repos.d/{{ repository.name }}.repo 0644 root:root <<'END_OF_REPOSITORY'
[{{ repository.name }}]
name={{ repository.name }}
baseurl={{ repository.url }}
enabled=1
{% if repository.ours %}
repo_gpgcheck=1
{% endif %}
gpgcheck={{ 1 if repository.key and not repository.ours else 0 }}
{% if repository.key %}
gpgkey=file://{{ key }}
{% endif %}
{% if repository.priority %}
priority={{ repository.priority }}
{% endif %}
{% if repository.cost %}
cost={{ repository.cost }}
{% endif %}
{% if site.proxy and site.proxy.system and repository.url in spec.reach.direct %}
proxy=_none_
{% endif %}
END_OF_REPOSITORY
{% endfor %}
