# Packages that waited for their repositories: from these, the release's, and what this was installed from. What the
# distribution itself has written down lies outside, and is not asked.
{% macro section(name, url, direct) %}
[{{ name }}]
name={{ name }}
baseurl={{ url }}
enabled=1
proxy={{ "_none_" if direct or not site.proxy else site.proxy.url }}
{% endmacro %}
{% macro checks(repository) %}
gpgcheck={{ 1 if repository.key and not repository.ours else 0 }}
{% if repository.ours %}
repo_gpgcheck=1
{% endif %}
{% if repository.key %}
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-pxeapp-{{ repository.name }}
{% endif %}
{% endmacro %}
late=/root/pxeapp-repositories
mkdir -p "$late"
cat >"$late/pxeapp.repo" <<'END_OF_REPOSITORIES'
{# A mirror has AppStream beside BaseOS, a copy of the DVD has both within: what is not there is passed over. #}
{% set tree = spec.release.install_url %}
{% set whole = dialect.legacy or "/BaseOS/" in tree %}
{% set trees = [tree, tree | replace("/BaseOS/", "/AppStream/")] if whole else [tree, tree ~ "/BaseOS", tree ~ "/AppStream"] %}
{% for each in trees | unique %}
{{ section("pxeapp-installer" ~ loop.index, each, tree in spec.reach.direct) }}gpgcheck=0
skip_if_unavailable=1
{% endfor %}
{% for repository in spec.release.repositories %}
{{ section(repository.name, repository.url, repository.url in spec.reach.direct) }}{{ checks(repository) }}
{%- endfor %}
{% for repository in site.repositories if repository.system %}
{{ section(repository.name, repository.url, repository.url in spec.reach.direct) }}{{ checks(repository) }}
{%- if repository.priority %}
priority={{ repository.priority }}
{% endif %}
{% endfor %}
END_OF_REPOSITORIES
{{ "yum" if dialect.legacy else "dnf" }} -q -y --setopt=reposdir="$late" install {{ late_packages | join(" ") }}
rm -rf "$late"
