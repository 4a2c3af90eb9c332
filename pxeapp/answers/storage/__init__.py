"""Storage: a small language for disks, the same for every installer, and what each installer is told from it."""

from pxeapp.answers.storage.hints import Hint
from pxeapp.answers.storage.language import problems, read
from pxeapp.answers.storage.layout import LVM, PLAIN, Group, Layout, Raw, Volume, packages

__all__ = ["LVM", "PLAIN", "Group", "Hint", "Layout", "Raw", "Volume", "packages", "problems", "read"]
