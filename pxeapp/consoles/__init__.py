"""Serial consoles: held by a process of their own, shown in the browser, recorded for each deployment."""
