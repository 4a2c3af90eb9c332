"""The virtual rack: QEMU machines with simulated BMCs; it knows the product only over the wire."""
