"""`python -m pxeapp`: the same as the `pxeapp` command."""

from pxeapp.cli import main

main()
