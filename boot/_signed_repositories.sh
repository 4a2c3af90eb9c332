# Repositories of the release that are signed: Anaconda has written them down without their keys.
{% for repository in spec.release.repositories if repository.key %}
{% set key = "/etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-" ~ repository.name %}
{% set proxy = spec.reach.via[repository.key] %}
curl -fsS --retry 5 {{ "--proxy " ~ (proxy | sh) if proxy else "--noproxy '*'" }} -o {{ key }} {{ repository.key | sh }}
rpm --import {{ key }}
cat >/etc/yum.repos.d/{{ repository.name }}.repo <<'END_OF_REPOSITORY'
[{{ repository.name }}]
name={{ repository.name }}
baseurl={{ repository.url }}
enabled=1
{% if repository.ours %}
repo_gpgcheck=1
gpgcheck=0
{% else %}
gpgcheck=1
{% endif %}
gpgkey=file://{{ key }}
{% if spec.site.proxy and spec.site.proxy.system and repository.url in spec.reach.direct %}
proxy=_none_
{% endif %}
END_OF_REPOSITORY
{% endfor %}
