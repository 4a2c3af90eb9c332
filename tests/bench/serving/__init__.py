"""An appliance in a scratch folder, its real processes, and clients that cost less than those do."""
