# The other network cards: found by MAC, for the kernel chooses their names. The default route stays the first one's.
card_name() { # mac
    for card in /sys/class/net/*; do
        [ "$(cat "$card/address" 2>/dev/null)" = "$1" ] && echo "${card##*/}" && return 0
    done
    report progress "There is no network card $1 here; it stays unconfigured." >&2
    return 1
}

cards() {
{% if dialect.netplan %}
    folder=/target/etc/systemd/network
    mkdir -p "$folder"
{% for card in spec.cards %}
    cat >"$folder/60-pxeapp{{ loop.index }}.network" <<'END_OF_CARD'
[Match]
MACAddress={{ card.mac }}
{% if card.vlan %}
{% set name = "pxe" ~ loop.index ~ "v" ~ card.vlan %}

[Network]
VLAN={{ name }}
END_OF_CARD
    printf '[NetDev]\nName={{ name }}\nKind=vlan\n\n[VLAN]\nId={{ card.vlan }}\n' >"$folder/59-{{ name }}.netdev"
{# A VLAN has its card's MAC: its file must come first, for the first that matches is the one used. #}
    cat >"$folder/59-{{ name }}.network" <<'END_OF_CARD'
[Match]
Name={{ name }}
{% endif %}

[Link]
RequiredForOnline=no

[Network]
{% if card.address %}
Address={{ card.address }}
{% else %}
DHCP=ipv4

[DHCP]
UseRoutes=false
{% endif %}
END_OF_CARD
{% endfor %}
{% else %}
    folder=/target/etc/network/interfaces.d
    mkdir -p "$folder"
{% for card in spec.cards %}
    if name=$(card_name {{ card.mac }}); then
        cat >"$folder/pxeapp{{ loop.index }}" <<END_OF_CARD
{% if card.vlan %}
{% set name = "pxe" ~ loop.index ~ "v" ~ card.vlan %}
allow-hotplug $name
iface $name inet manual
    up ip link set $name up

auto {{ name }}
iface {{ name }} inet {{ "static" if card.address else "dhcp" }}
    pre-up ip link set $name up
    pre-up ip link add link $name name {{ name }} type vlan id {{ card.vlan }} || true
    post-down ip link delete {{ name }} || true
{% else %}
allow-hotplug $name
iface $name inet {{ "static" if card.address else "dhcp" }}
{% endif %}
{% if card.address %}
    address {{ card.address }}
{% else %}
    metric 1000
{% endif %}
END_OF_CARD
    fi
{% endfor %}
{% endif %}
}
