"""The permission table: every route of the operators' application, and the least role that may use it.

Deny by default: a route that is not here is refused, and a test fails for it.
"""

from __future__ import annotations

from typing import Final

VIEWER: Final = "viewer"
OPERATOR: Final = "operator"
ADMIN: Final = "admin"
PUBLIC: Final = "public"

ROLES: tuple[str, ...] = (VIEWER, OPERATOR, ADMIN)
_RANK = {PUBLIC: 0, VIEWER: 1, OPERATOR: 2, ADMIN: 3}

PERMISSIONS: dict[str, str] = {
    # What a load balancer, a monitoring system and somebody who is not signed in need.
    "health.healthz": PUBLIC,
    "health.readyz": PUBLIC,
    "health.metrics": VIEWER,
    "openapi.spec": PUBLIC,
    "ui.login": PUBLIC,
    "ui.sign_in": PUBLIC,
    "ui.asset": PUBLIC,
    "ui.prefer": PUBLIC,  # a cookie of one's own: language, theme
    # Looking
    "ui.index": VIEWER,
    "ui.machines": VIEWER,
    "ui.machines_table": VIEWER,
    "ui.machines_csv": VIEWER,
    "ui.choose_columns": VIEWER,  # of one's own page
    "ui.save_filter": VIEWER,  # shared ones need more, see machines/saved_filters.py
    "ui.delete_filter": VIEWER,
    "ui.job_page": VIEWER,
    "ui.job_table": VIEWER,
    "lists.machines_csv": VIEWER,
    "lists.listing": VIEWER,
    "templates.listing": OPERATOR,  # a site's own may hold what not everybody should read
    "templates.show": OPERATOR,
    "templates.versions": OPERATOR,
    "templates.save": ADMIN,
    "templates.delete": ADMIN,
    "templates.rollback": ADMIN,
    "ui.templates_page": OPERATOR,
    "ui.new_template": OPERATOR,
    "ui.template_page": OPERATOR,
    "ui.edit_template": ADMIN,
    "ui.rollback_template": ADMIN,
    "ui.delete_template": ADMIN,
    "reports.durations": VIEWER,
    "reports.success": VIEWER,
    "reports.failures": VIEWER,
    "reports.repairs": VIEWER,
    "reports.inventory": VIEWER,
    "ui.reports_page": VIEWER,
    "ui.deployments": VIEWER,
    "ui.deployments_part": VIEWER,
    "ui.abort_deployment": OPERATOR,
    "ui.retry_deployment": OPERATOR,
    "ui.settings": ADMIN,
    "ui.doctor_part": ADMIN,
    "ui.run_doctor": ADMIN,
    "lists.save": VIEWER,
    "lists.delete": VIEWER,
    "ui.bulk_confirm": OPERATOR,
    "ui.bulk_order": OPERATOR,
    "ui.cancel_job": OPERATOR,
    "ui.import_page": OPERATOR,
    "ui.check_import": OPERATOR,
    "ui.run_import": OPERATOR,
    "ui.imported": OPERATOR,
    "ui.new_machine": OPERATOR,
    "ui.add_machine": OPERATOR,
    "ui.overview_part": VIEWER,
    "ui.live": VIEWER,
    "ui.rack_elevation": VIEWER,
    "ui.racks_part": VIEWER,
    "ui.sightings": VIEWER,
    "ui.sightings_part": VIEWER,
    "ui.machine_page": VIEWER,
    "ui.machine_timeline": VIEWER,
    "ui.machine_bmc": VIEWER,
    "ui.console_page": VIEWER,
    "ui.console_stream": VIEWER,
    "ui.console_recording": VIEWER,
    "ui.sign_out": VIEWER,
    "machines.listing": VIEWER,
    "machines.show": VIEWER,
    "machines.events": VIEWER,
    "power.show": VIEWER,
    "bmc.sensors": VIEWER,
    "bmc.sel": VIEWER,
    "bmc.boot_device": VIEWER,
    "bmc.identity": VIEWER,
    "bmc.order": VIEWER,
    "consoles.show": VIEWER,
    "consoles.listing": VIEWER,
    "consoles.recording": VIEWER,
    "consoles.recording_text": VIEWER,
    "deployments.listing": VIEWER,
    "deployments.show": VIEWER,
    "deployments.logs": VIEWER,
    "deployments.log": VIEWER,
    "deployments.explain": VIEWER,
    "deployments.rendered": VIEWER,
    "given.listing": VIEWER,
    "ui.machine_given": VIEWER,
    "releases.listing": VIEWER,
    "releases.show": VIEWER,
    "roles.listing": VIEWER,
    "roles.show": VIEWER,
    "networks.listing": VIEWER,
    "networks.show": VIEWER,
    "sightings.listing": VIEWER,
    "clusters.listing": VIEWER,
    "clusters.show": VIEWER,
    "variables.listing": VIEWER,
    "variables.of_machine": VIEWER,
    "appliance.show": VIEWER,
    "jobs.listing": VIEWER,
    "jobs.show": VIEWER,
    "jobs.items": VIEWER,
    "events.stream": VIEWER,
    "exports.inventory": VIEWER,
    "exports.targets": VIEWER,
    # Working with machines
    "machines.create": OPERATOR,
    "machines.change": OPERATOR,
    "machines.replace": OPERATOR,
    "machines.bring": OPERATOR,
    "machines.imports": OPERATOR,
    "sightings.adopt": OPERATOR,
    "ui.adopt_form": OPERATOR,
    "ui.adopt": OPERATOR,
    "deployments.deploy": OPERATOR,
    "deployments.abort": OPERATOR,
    "deployments.release": OPERATOR,
    "power.order": OPERATOR,
    "ui.order_power": OPERATOR,
    "ui.ask_bmc": OPERATOR,
    "ui.set_boot_device": OPERATOR,
    "ui.deploy_machine": OPERATOR,
    "ui.abort_machine": OPERATOR,
    "ui.release_machine": OPERATOR,
    "ui.lock_machine": OPERATOR,
    "ui.maintain_machine": OPERATOR,
    "ui.edit_machine": OPERATOR,
    "ui.save_machine": OPERATOR,
    "ui.console_keys": OPERATOR,
    "ui.console_act": OPERATOR,
    "bmc.refresh_sensors": OPERATOR,
    "bmc.refresh_sel": OPERATOR,
    "bmc.refresh_boot_device": OPERATOR,
    "bmc.refresh_identity": OPERATOR,
    "bmc.set_boot_device": OPERATOR,
    "bmc.identify": OPERATOR,
    "consoles.keys": OPERATOR,
    "consoles.act": OPERATOR,
    "jobs.order": OPERATOR,  # what an action on many needs besides is in provisioning/bulk.py
    "jobs.cancel": OPERATOR,
    "diffs.compare": OPERATOR,  # it writes nothing, and takes seconds; proposing a template asks for more, see there
    "appliance.observe": OPERATOR,  # whoever may deploy may stop everything
    # What changes the appliance for everybody
    "machines.delete": ADMIN,
    "ui.clear_sel": ADMIN,
    "bmc.clear_sel": ADMIN,  # what it held is kept here; whoever reads the BMC itself no longer finds it
    "networks.create": ADMIN,
    "networks.change": ADMIN,
    "networks.replace": ADMIN,
    "networks.delete": ADMIN,
    "clusters.create": ADMIN,
    "clusters.change": ADMIN,
    "clusters.replace": ADMIN,
    "clusters.delete": ADMIN,
    "clusters.rotate": ADMIN,
    "roles.create": ADMIN,
    "roles.change": ADMIN,
    "roles.replace": ADMIN,
    "releases.create": ADMIN,
    "releases.change": ADMIN,
    "releases.replace": ADMIN,
    "releases.verify": ADMIN,
    "releases.delete": ADMIN,
    "users.listing": ADMIN,
    "users.create": ADMIN,
    "users.change": ADMIN,
    "users.delete": ADMIN,
    "tokens.listing": ADMIN,
    "tokens.create": ADMIN,
    "tokens.revoke": ADMIN,
    "audit.listing": ADMIN,
    "webhooks.listing": ADMIN,
    "webhooks.show": ADMIN,
    "webhooks.create": ADMIN,
    "webhooks.change": ADMIN,
    "webhooks.replace": ADMIN,
    "webhooks.delete": ADMIN,
    "webhooks.test": ADMIN,
    "webhooks.deliveries": ADMIN,
    "webhooks.replay": ADMIN,
    "given.exact": ADMIN,  # tokens and secrets as they were
    "appliance.resume": ADMIN,
}


def needed(endpoint: str | None) -> str | None:
    """The least role for an endpoint; None means: nobody."""
    return PERMISSIONS.get(endpoint or "")


def allows(role: str, least: str) -> bool:
    """Whether a role reaches the least role that is needed."""
    return _RANK.get(role, -1) >= _RANK[least]


def lesser(one: str, other: str) -> str:
    """The lower of two roles: a token never exceeds the user it belongs to."""
    return min(one, other, key=lambda role: _RANK.get(role, -1))
