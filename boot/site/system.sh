{# What the site wants of the installed system. Bash with `set -e`, run in it by every installer at its end; a failure
   is a failed installation. Whatever it writes, it writes anew: it may run twice. #}
{% set site = spec.site %}
{% set apt = spec.release.family in ("debian", "ubuntu") %}
{% if site.said %}
put() { # path, mode, owner; its bytes come by the standard input
    folder=$(dirname "$1")
    made=$1 # or the first of its folders that is not there yet
    while [ ! -d "$folder" ]; do
        made=$folder
        folder=$(dirname "$folder")
    done
    (umask 022 && mkdir -p "$(dirname "$1")")
    (umask 077 && cat >"$1.pxeapp-new")
    chown "$3" "$1.pxeapp-new"
    chmod "$2" "$1.pxeapp-new"
    mv -fT "$1.pxeapp-new" "$1"
    relabel "$made"
}
relabel() {
    if command -v restorecon >/dev/null; then restorecon -R "$1" || :; fi
}
{% endif %}
{% if site.ca_certificates %}
{% include "boot/site/_certificates.sh" %}
{% endif %}
{% if site.proxy and site.proxy.system %}
{% include "boot/site/_proxy.sh" %}
{% endif %}
{% if not apt and spec.release.repositories | selectattr("key") | list %}
{% include "boot/_signed_repositories.sh" %}
{% endif %}
{% if site.repositories %}
{% if apt %}
{% include "boot/site/_repositories_apt.sh" %}
{% else %}
{% include "boot/site/_repositories_dnf.sh" %}
{% endif %}
{% endif %}
{% if late_packages | default(()) %}
{# Where the installer could not install them itself: it does not know every repository, or would add what they recommend. #}
{% if apt %}
# Packages that waited for their repositories.
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Options::=--force-confdef -o Dpkg::Use-Pty=false \
    install --no-install-recommends \
    {{ late_packages | join(" ") }}
{% else %}
{% include "boot/site/_late_packages_dnf.sh" %}
{% endif %}
{% endif %}
{% if apt and site.packages_remove %}
{% include "boot/site/_remove.sh" %}
{% endif %}
{% if apt and spec.ntp %}
{% include "boot/site/_time.sh" %}
{% endif %}
{% if site.users %}
{% include "boot/site/_users.sh" %}
{% endif %}
{% if site.remote_access %}
{% include "boot/site/_remote_access.sh" %}
{% endif %}
{% if site.changes_kernel %}
{% include "boot/site/_kernel.sh" %}
{% endif %}
{% if apt and site.firewall %}
{% include "boot/site/_nftables.sh" %}
{% endif %}
