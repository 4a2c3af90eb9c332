"""Boot: which loader a firmware gets, what the loader is told, and the TFTP and DHCP that carry it."""
