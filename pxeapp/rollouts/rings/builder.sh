#!/bin/bash
# Swift's rings on the machine that has their builder files, by Swift's own code. Sent by pxeapp, see builder.py.
#
#   FOLDER look           what the builder files and the rings say, as JSON
#   FOLDER turn DEVICES   {"object": {"3": {"weight": 0, "meta": "..."}}}: weigh these devices and rebalance, once,
#                         each ring that is named
#
# What turn did goes to $PXEAPP_RESULT. It may be run again after it died at any moment: weights are said as they are
# to be, and a builder file that is newer than its ring has its ring written.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
builder=$(command -v swift-ring-builder) || {
    echo "There is no swift-ring-builder on this machine."
    exit 3
}
# The interpreter that Swift was installed for: not every release's python3 has it.
read -r -a python <<<"$(head -n 1 "$builder" | sed -n 's/^#! *//p')"
[ -x "${python[0]}" ] || python=(python3)
exec "${python[@]}" - "$@" <<'PROGRAM'
import contextlib, glob, hashlib, json, os, re, shutil, sys, time

from swift.common.exceptions import RingBuilderError
from swift.common.ring import RingBuilder, RingData
from swift.common.utils import lock_parent_directory

SHOWN = ("id", "ip", "replication_ip", "device", "zone", "weight", "parts", "meta")
folder, what = sys.argv[1:3]


def give_up(sentence):
    print(sentence)
    sys.exit(3)


def files():
    found = sorted(glob.glob(os.path.join(folder, "*.builder")))
    if not found:
        give_up("There are no builder files in %s." % folder)
    return [(os.path.basename(path)[: -len(".builder")], path) for path in found]


def ring_of(path):
    return path[: -len(".builder")] + ".ring.gz"


def version_of(ring):
    try:
        return RingData.load(ring, metadata_only=True).version
    except Exception:  # missing, cut, of another age: it is written anew
        return None


def seen(path, builder):
    ring = ring_of(path)
    with contextlib.suppress(IOError):
        with open(ring, "rb") as file:
            content = file.read()
        return {
            "replicas": builder.replicas,
            "parts": builder.parts,
            "wait_s": int(getattr(builder, "min_part_seconds_left", 0)),
            "stale": version_of(ring) != builder.version,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "devices": [dict((key, each.get(key)) for key in SHOWN) for each in builder.devs if each is not None],
        }
    give_up("%s is missing." % ring)


def look():
    rings = dict((name, seen(path, RingBuilder.load(path))) for name, path in files())
    # What belongs together has the same secret; it stays here, its hash does not tell it.
    with contextlib.suppress(IOError):
        with open("/etc/swift/swift.conf") as file:
            lines = sorted(re.findall(r"^ *swift_hash_path_(?:prefix|suffix) *=.*$", file.read(), re.M))
        return {"rings": rings, "cluster": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
    return {"rings": rings, "cluster": ""}


def replace(path, save):
    """Whole or not at all, as who owned it before, for those who could read it before."""
    new = path + ".pxeapp"
    save(new)
    with contextlib.suppress(OSError):
        before = os.stat(path)
        os.chown(new, before.st_uid, before.st_gid)
        os.chmod(new, before.st_mode & 0o777)
    os.rename(new, path)


def turn_one(path, devices):
    with lock_parent_directory(path, 15):
        builder = RingBuilder.load(path)
        if version_of(ring_of(path)) != builder.version:
            replace(ring_of(path), builder.get_ring().save)
        changed = 0
        for number, said in devices.items():
            device = builder.devs[int(number)]
            if device["weight"] != said["weight"]:
                builder.set_dev_weight(int(number), said["weight"])
                changed += 1
            if device.get("meta", "") != said["meta"]:
                device["meta"] = said["meta"]
                changed += 1
        moved = builder.rebalance()[0]
        if changed or moved:
            kept = os.path.join(folder, "backups")  # where swift-ring-builder keeps them, too
            if not os.path.isdir(kept):
                os.makedirs(kept)
            shutil.copy2(path, os.path.join(kept, "%d.%s" % (time.time(), os.path.basename(path))))
            replace(path, builder.save)
            replace(ring_of(path), builder.get_ring().save)
        return moved


if what == "look":
    print(json.dumps(look()))
else:
    said, moved = json.loads(sys.argv[3]), {}
    for name, path in files():
        if name in said:
            try:
                moved[name] = turn_one(path, said[name])
            except RingBuilderError as error:
                give_up("Swift refuses to rebalance %s: %s" % (name, error))
            print("%s: %d partitions are assigned anew." % (name, moved[name]))
    with open(os.environ["PXEAPP_RESULT"], "w") as file:
        json.dump(moved, file)
PROGRAM
