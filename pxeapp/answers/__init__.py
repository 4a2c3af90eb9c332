"""Answer files: kickstart, preseed and autoinstall, rendered purely from a machine, its role and its release."""
