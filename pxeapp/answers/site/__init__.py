"""Site settings: proxy, users, repositories, certificates, files, scripts and the rest that every shop has."""

from pxeapp.answers.site.filling import filled
from pxeapp.answers.site.private import FINDERS as SECRETS
from pxeapp.answers.site.reach import Reach, reach
from pxeapp.answers.site.settings import NAMES, NOTHING, TEXTS, Site, check, read

__all__ = ["NAMES", "NOTHING", "SECRETS", "TEXTS", "Reach", "Site", "check", "filled", "reach", "read"]
