"""Every module that declares tables, imported for `Base.metadata`. The one place that has to know them all."""

from pxeapp import versions
from pxeapp.accounts import models as accounts
from pxeapp.answers import models as answers
from pxeapp.appliance import models as appliance
from pxeapp.audit import models as audit
from pxeapp.bmc import models as bmc
from pxeapp.clouds import models as clouds
from pxeapp.consoles import models as consoles
from pxeapp.jobs import models as jobs
from pxeapp.machines import models as machines
from pxeapp.nodes import models as nodes
from pxeapp.provisioning import models as provisioning
from pxeapp.rollouts import models as rollouts
from pxeapp.software import models as software
from pxeapp.software.bundles import models as bundles
from pxeapp.software.cache import models as software_cache
from pxeapp.software.isos import models as media
from pxeapp.software.repositories import models as repositories
from pxeapp.software.repositories import signing
from pxeapp.software.snapshots import models as snapshots
from pxeapp.software.tasks import models as software_tasks
from pxeapp.traffic import models as traffic
from pxeapp.webhooks import models as webhooks

__all__ = [
    "accounts", "answers", "appliance", "audit", "bmc", "bundles", "clouds", "consoles", "jobs", "machines", "media",
    "nodes", "provisioning", "repositories", "rollouts", "signing", "snapshots", "software", "software_cache",
    "software_tasks", "traffic", "versions", "webhooks",
]  # fmt: skip
