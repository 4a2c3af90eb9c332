"""What runs inside the stand-in; these files go into its initrd as they are."""
