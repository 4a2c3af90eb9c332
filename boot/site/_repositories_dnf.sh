# Repositories of the site's.
{% for repository in site.repositories if repository.system %}
{% if repository.inline_key %}
put /etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-{{ repository.name }} 0644 root:root <<'END_OF_KEY'
{{ repository.armoured }}END_OF_KEY
rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-{{ repository.name }}
{% elif repository.ours %}
curl -fsS --retry 5 --noproxy '*' -o /etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-{{ repository.name }} {{ repository.key | sh }}
rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-{{ repository.name }}
{% elif repository.key %}
rpm --import {{ repository.key | sh }}
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
{% if repository.inline_key or repository.ours %}
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-{{ repository.name }}
{% elif repository.key %}
gpgkey={{ repository.key }}
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
