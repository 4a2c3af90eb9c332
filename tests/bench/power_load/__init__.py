"""What the power benchmark runs in processes of their own: the BMCs, and the peers that command them."""
