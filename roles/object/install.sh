# Where the disks are mounted. Below it nothing may be written while a disk is away: hence root's own.
mkdir -p /srv/node /var/cache/swift
chown root:swift /var/cache/swift
chmod 2775 /var/cache/swift
