{# What is done in the installed system, by its own bash: written here, run by `curtin in-target`. #}
    cat >/target/root/pxeapp-finish <<'END_OF_FINISH'
set -e
export DEBIAN_FRONTEND=noninteractive
{% for repository in spec.release.repositories %}
{# apt tells a key by its file's ending, and reads of an armoured file the first key only: ours may be several. #}
{% set keyring = "/etc/apt/keyrings/" ~ repository.name ~ (".gpg" if repository.ours else ".asc") %}
{% set signed = " [signed-by=" ~ keyring ~ "]" if repository.key else "" %}
cat >/etc/apt/sources.list.d/{{ repository.name }}.list <<'END_OF_SOURCE'
deb{{ signed }} {{ [repository.url, repository.suite, repository.components] | select | join(" ") }}
END_OF_SOURCE
{% if repository.key %}
mkdir -p /etc/apt/keyrings
{% set proxy = spec.reach.via[repository.key] | sh %}
wget -qO {{ keyring }} --tries=5 {% if spec.reach.via[repository.key] %}-e http_proxy={{ proxy }} -e https_proxy={{ proxy }}{% else %}--no-proxy{% endif %} '{{ repository.key }}'
{% endif %}
{% endfor %}
{% set late_packages = work.packages + work.late %}
{% include "boot/site/system.sh" %}
echo '{{ spec.hostname }}' >/etc/hostname
cat >/etc/hosts <<'END_OF_HOSTS'
127.0.0.1 localhost
127.0.1.1 {{ spec.hostname ~ "." ~ spec.domain ~ " " if spec.domain }}{{ spec.hostname }}

::1 ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
END_OF_HOSTS
{% if spec.root_password_hash %}
chpasswd -e <<'END_OF_PASSWORD'
root:{{ spec.root_password_hash }}
END_OF_PASSWORD
{% else %}
passwd -l root
{% endif %}
{% if spec.ssh_keys %}
{% include "boot/_root_keys.sh" %}
{% endif %}
{% if spec.storage.simple and spec.layout == "lvm" and not dialect.sizing_policy %}
{# This installer leaves most of the volume group free, and cannot be told otherwise. #}
root=$(findmnt -no SOURCE /)
lvextend -r -l +100%FREE "$root" || :
{% endif %}
{% include "boot/_first_boot_unit.sh" %}
{% if work.install %}

{{ work.install }}
{% endif %}
{% if spec.site.boot_order == "network-first" %}
{% include "boot/_boot_order.sh" %}
{% else %}
{# Told the layout's name only, the installers before 24.04 pass over `grub`, and curtin puts the network first. #}
# The disk first in the firmware's order: the entries that this installation has made, then the others as they stood.
if [ -d /sys/firmware/efi ] && command -v efibootmgr >/dev/null; then
    ls /sys/firmware/efi/efivars/BootOrder-* >/dev/null 2>&1 ||
        mount -t efivarfs efivarfs /sys/firmware/efi/efivars || :
    made=$(efibootmgr | sed -n 's/^Boot\([0-9A-F]\{4\}\)\* [Uu]buntu.*/\1/p')
    order=$(efibootmgr | sed -n 's/^BootOrder: //p' | tr ',' '\n')
    if [ -n "$made" ] && [ -n "$order" ]; then
        first=$(printf '%s\n' "$order" | grep -xF "$made" || printf '%s' "$made")
        rest=$(printf '%s\n' "$order" | grep -vxF "$made" || :)
        efibootmgr -q -o "$(printf '%s\n%s' "$first" "$rest" | grep . | paste -sd, -)" || :
    fi
fi
{% endif %}
{% for service in work.services %}
systemctl enable {{ service }} || :
{% endfor %}
{% include "boot/site/last.sh" %}
END_OF_FINISH
