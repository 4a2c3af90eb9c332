# Written by pxeapp: nova's fake driver for a node that is rehearsed with, and that is the same one after a restart.
# Nova's own makes up another identity each time that it starts, and nova refuses a node that has changed its own. This
# one has the identity that nova keeps for every real node, in compute_id in its state_path.
from nova.virt import fake

try:
    from nova.virt import node
except ImportError:  # before 2023.1 nodes are known by their name alone
    node = None


class RehearsalDriver(fake.FakeDriver):
    """Starts nothing, and stays who it is."""

    def get_available_resource(self, nodename):
        found = super().get_available_resource(nodename)
        if found and node is not None:
            found["uuid"] = node.get_local_node_uuid()
        return found

    def get_nodenames_by_uuid(self, refresh=False):
        if node is None:
            return super().get_nodenames_by_uuid(refresh=refresh)
        return {node.get_local_node_uuid(): name for name in self.get_available_nodes(refresh)}
