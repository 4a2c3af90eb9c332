"""The stand-in installer: what the demo boots where Anaconda cannot be had.

It is not Anaconda and says so on its console. It reads its kernel command line as Anaconda's dracut does, fetches the
kickstart with Anaconda's headers, has pykickstart parse it, runs the kickstart's own scripts, and leaves a small system
on the disk that boots from it and runs the units that %post enabled.
"""
