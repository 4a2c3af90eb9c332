{# The same list gives the same rings on every node: the seed is fixed, so nobody has to hand them round. #}
rings() {
    cd /etc/swift
    for ring in account:6202 container:6201 object:6200; do
        name=${ring%:*}
        port=${ring#*:}
        rm -f "$name.builder" "$name.ring.gz"
        swift-ring-builder "$name.builder" create {{ vars.swift_part_power }} {{ [vars.swift_replicas, vars.swift_devices | length] | min }} 1
{% for device in vars.swift_devices %}
{% set zone, place = device.split(":", 1) %}
{% set address, disk = place.rsplit("/", 1) %}
        swift-ring-builder "$name.builder" add "r1z{{ zone }}-{{ "[" ~ address ~ "]" if ":" in address else address }}:$port/{{ disk }}" 100
{% endfor %}
        swift-ring-builder "$name.builder" rebalance --seed 1 || [ $? = 1 ] # 1: a warning, for example about the balance
        [ -s "$name.ring.gz" ]
    done
    chown root:swift /etc/swift/*.ring.gz
    chmod 0640 /etc/swift/*.ring.gz
}
step "Swift's rings" rings
