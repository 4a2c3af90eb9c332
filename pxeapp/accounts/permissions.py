"""The permission table: every route of the operators' application, and the least role that may use it.

Deny by default: a route that is not here is refused, and a test fails for it. Besides the role, four small tables say
what a limit to projects, a token that only reads, and a session that is not whole yet leave of it. The API, the pages
and whoever draws a button ask `verdict`, and nothing else.
"""

from __future__ import annotations

from typing import Final

from pxeapp.accounts.actor import SESSION, Actor

VIEWER: Final = "viewer"
OPERATOR: Final = "operator"
ADMIN: Final = "admin"
PUBLIC: Final = "public"

ROLES: tuple[str, ...] = (VIEWER, OPERATOR, ADMIN)
VERSIONED = ("networks", "releases", "roles", "clusters")  # whose earlier versions can be gone back to
_RANK = {PUBLIC: 0, VIEWER: 1, OPERATOR: 2, ADMIN: 3}

PERMISSIONS: dict[str, str] = {
    # What a load balancer, a monitoring system and somebody who is not signed in need.
    "health.healthz": PUBLIC,
    "health.readyz": PUBLIC,
    "health.metrics": VIEWER,
    "openapi.spec": PUBLIC,
    "account.sign_in": PUBLIC,  # as ui.sign_in
    "ui.login": PUBLIC,
    "ui.sign_in": PUBLIC,
    "ui.oidc_begin": PUBLIC,
    "ui.oidc_end": PUBLIC,
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
    "ui.catalogue": VIEWER,
    "ui.catalogue_item": VIEWER,
    "ui.catalogue_version": VIEWER,
    "ui.new_item": ADMIN,
    "ui.edit_item": ADMIN,
    "ui.restore_item": ADMIN,
    "ui.delete_item": ADMIN,
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
    "ui.second_factor": VIEWER,
    "ui.check_second_factor": VIEWER,
    "ui.account": VIEWER,
    "ui.change_password": VIEWER,
    "ui.begin_totp": VIEWER,
    "ui.confirm_totp": VIEWER,
    "ui.renew_recovery_codes": VIEWER,
    "ui.remove_totp": VIEWER,
    "ui.end_session": VIEWER,
    "ui.end_sessions": VIEWER,
    "ui.create_own_token": VIEWER,
    "ui.revoke_own_token": VIEWER,
    "account.show": VIEWER,
    "account.sessions": VIEWER,
    "account.end_session": VIEWER,
    "account.end_sessions": VIEWER,
    "account.password": VIEWER,
    "account.begin_totp": VIEWER,
    "account.confirm_totp": VIEWER,
    "account.renew_recovery_codes": VIEWER,
    "account.remove_totp": VIEWER,
    "account.tokens": VIEWER,
    "account.create_token": VIEWER,
    "account.revoke_token": VIEWER,
    "machines.listing": VIEWER,
    "machines.show": VIEWER,
    "machines.events": VIEWER,
    "power.show": VIEWER,
    "bmc.sensors": VIEWER,
    "ssh.own_key": VIEWER,  # the public half
    "ssh.show": VIEWER,
    "bmc.sel": VIEWER,
    "bmc.boot_device": VIEWER,
    "bmc.identity": VIEWER,
    "bmc.order": VIEWER,
    "consoles.show": VIEWER,
    "consoles.listing": VIEWER,
    "consoles.stream": VIEWER,
    "consoles.recording": VIEWER,
    "consoles.recording_text": VIEWER,
    "deployments.listing": VIEWER,
    "deployments.show": VIEWER,
    "deployments.logs": VIEWER,
    "deployments.log": VIEWER,
    "deployments.explain": VIEWER,
    "deployments.rendered": VIEWER,
    "checks.listing": VIEWER,
    "given.listing": VIEWER,
    "ui.machine_given": VIEWER,
    "releases.listing": VIEWER,
    "releases.show": VIEWER,
    "roles.listing": VIEWER,
    "roles.show": VIEWER,
    "networks.listing": VIEWER,
    "networks.show": VIEWER,
    **dict.fromkeys((f"{kind}.{what}" for kind in VERSIONED for what in ("versions", "version")), VIEWER),
    "sightings.listing": VIEWER,
    "clusters.listing": VIEWER,
    "clusters.show": VIEWER,
    "variables.listing": VIEWER,
    "variables.of_machine": VIEWER,
    "appliance.show": VIEWER,
    "jobs.listing": VIEWER,
    "jobs.show": VIEWER,
    "jobs.items": VIEWER,
    "breaker.show": VIEWER,
    "rollouts.listing": VIEWER,
    "rollouts.show": VIEWER,
    "rollouts.members": VIEWER,
    "rollouts.member": VIEWER,
    "rollouts.events": VIEWER,
    "rollouts.forecast": VIEWER,
    "ui.software": VIEWER,
    **dict.fromkeys((f"ui.{what}" for what in ("upstreams", "upstreams_part", "upstream", "upstream_part")), VIEWER),
    "ui.repositories": VIEWER,
    "ui.repositories_part": VIEWER,
    "ui.repository": VIEWER,
    "ui.repository_part": VIEWER,
    **dict.fromkeys(("ui.mirrors", "ui.mirrors_part", "ui.mirror", "ui.mirror_part"), VIEWER),
    "ui.media": VIEWER,
    "ui.media_part": VIEWER,
    "ui.medium": VIEWER,
    "ui.software_part": VIEWER,
    "ui.rollouts": VIEWER,
    "ui.rollouts_part": VIEWER,
    "ui.rollout_page": VIEWER,
    "ui.rollout_part": VIEWER,
    "ui.rollout_member": VIEWER,
    "ui.rollout_member_part": VIEWER,
    "events.stream": VIEWER,
    "repositories.listing": VIEWER,
    "repositories.show": VIEWER,
    "repositories.packages": VIEWER,
    "repositories.list_keys": VIEWER,
    "media.listing": VIEWER,
    "media.show": VIEWER,
    **dict.fromkeys((f"upstreams.{what}" for what in ("listing", "show", "show_statistics")), VIEWER),
    "tasks.listing": VIEWER,
    "mirrors.listing": VIEWER,
    "mirrors.show": VIEWER,
    "mirrors.list_definitions": VIEWER,
    "tasks.show": VIEWER,
    **dict.fromkeys((f"snapshots.{what}" for what in ("listing", "show", "difference", "list_uses")), VIEWER),
    **dict.fromkeys((f"channels.{what}" for what in ("listing", "show", "history")), VIEWER),
    "bundles.listing": VIEWER,
    **dict.fromkeys(
        (f"ui.{what}" for what in ("snapshots", "snapshots_part", "snapshot", "snapshot_part", "channel")), VIEWER
    ),
    "ui.bundles": VIEWER,
    "ui.bundles_part": VIEWER,
    "bundles.show": VIEWER,
    "exports.inventory": VIEWER,
    "exports.host": VIEWER,
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
    "ssh.forget": OPERATOR,
    "consoles.keys": OPERATOR,
    "consoles.act": OPERATOR,
    "jobs.order": OPERATOR,  # what an action on many needs besides is in provisioning/bulk.py
    "jobs.cancel": OPERATOR,
    "rollouts.preview": OPERATOR,
    "rollouts.packages": OPERATOR,
    "rollouts.create": OPERATOR,
    "breaker.reset": OPERATOR,
    "ui.reset_breaker": OPERATOR,
    "rollouts.start": OPERATOR,
    "rollouts.pause": OPERATOR,
    "rollouts.resume": OPERATOR,
    "rollouts.abort": OPERATOR,
    "rollouts.go_on": OPERATOR,
    "rollouts.skip_member": OPERATOR,
    "rollouts.retry_member": OPERATOR,
    "rollouts.skip_wave": OPERATOR,
    "rollouts.retry_wave": OPERATOR,
    "ui.new_rollout": OPERATOR,
    "ui.preview_rollout": OPERATOR,
    "ui.preview_packages": OPERATOR,
    "ui.create_rollout": OPERATOR,
    "ui.control_rollout": OPERATOR,
    "ui.control_members": OPERATOR,
    "ui.job_difference": OPERATOR,
    "diffs.found": OPERATOR,  # whoever asked for it, and admins, see provisioning/comparing.py
    "diffs.compare": OPERATOR,  # it writes nothing, and takes seconds; proposing a template asks for more, see there
    "appliance.observe": OPERATOR,  # whoever may deploy may stop everything
    "repositories.publish": OPERATOR,
    "ui.publish_repository": OPERATOR,
    **dict.fromkeys(("upstreams.seed", "ui.seed_upstream", "upstreams.purge", "ui.purge_upstream"), OPERATOR),
    "tasks.cancel": OPERATOR,
    **dict.fromkeys((f"snapshots.{what}" for what in ("create", "verify", "promote")), OPERATOR),
    "channels.rollback": OPERATOR,
    "ui.take_snapshot": OPERATOR,
    "ui.control_snapshot": OPERATOR,  # and what that verb needs
    "ui.roll_channel_back": OPERATOR,
    "mirrors.sync": OPERATOR,
    "ui.control_mirror": OPERATOR,  # and then as the API says of each verb
    "mirrors.preview": OPERATOR,
    "ui.control_task": OPERATOR,  # and what that task needs
    "tasks.retry": ADMIN,  # whatever it is that it does again
    # What changes the appliance for everybody
    **dict.fromkeys((f"repositories.{what}" for what in ("create", "change", "delete", "edit")), ADMIN),
    **dict.fromkeys((f"ui.{what}_repository" for what in ("create", "edit", "delete")), ADMIN),
    "ui.add_signing_key": ADMIN,
    "ui.retire_signing_key": ADMIN,
    "repositories.add_key": ADMIN,
    "repositories.retire_key": ADMIN,
    "media.create": ADMIN,
    "media.delete": ADMIN,
    "tasks.clean": ADMIN,
    **dict.fromkeys((f"upstreams.{what}" for what in ("create", "change", "delete")), ADMIN),
    **dict.fromkeys((f"ui.{what}_upstream" for what in ("create", "change", "switch", "delete")), ADMIN),
    "snapshots.delete": ADMIN,
    "channels.create": ADMIN,
    "channels.delete": ADMIN,
    "ui.delete_channel": ADMIN,
    **dict.fromkeys((f"bundles.{what}" for what in ("create", "delete", "verify", "take")), ADMIN),
    **dict.fromkeys((f"ui.{what}_bundle" for what in ("create", "import", "delete")), ADMIN),
    "bundles.fetch": ADMIN,  # it holds templates, and with them what a site writes into these
    "mirrors.create": ADMIN,
    "ui.create_mirror": ADMIN,
    "mirrors.change": ADMIN,
    "mirrors.delete": ADMIN,
    "ui.clean_software": ADMIN,
    "ui.import_medium": ADMIN,
    "ui.delete_medium": ADMIN,
    "uploads.show": ADMIN,
    "uploads.put": ADMIN,
    "machines.delete": ADMIN,
    "ui.clear_sel": ADMIN,
    "bmc.clear_sel": ADMIN,  # what it held is kept here; whoever reads the BMC itself no longer finds it
    "networks.create": ADMIN,
    "networks.change": ADMIN,
    "networks.replace": ADMIN,
    **dict.fromkeys((f"{kind}.restore" for kind in VERSIONED), ADMIN),  # as whoever may change them
    "networks.delete": ADMIN,
    "clusters.create": ADMIN,
    "clusters.change": ADMIN,
    "clusters.replace": ADMIN,
    "clusters.delete": ADMIN,
    "clusters.rotate": ADMIN,
    "roles.create": ADMIN,
    "roles.change": ADMIN,
    "roles.replace": ADMIN,
    "roles.delete": ADMIN,
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
    "users.show": ADMIN,
    "users.reset_password": ADMIN,
    "users.end_sessions": ADMIN,
    "ui.users": ADMIN,
    "ui.create_user": ADMIN,
    "ui.user_page": ADMIN,
    "ui.change_user": ADMIN,
    "ui.reset_user_password": ADMIN,
    "ui.end_user_sessions": ADMIN,
    "ui.delete_user": ADMIN,
    "ui.create_token": ADMIN,
    "ui.revoke_token": ADMIN,
    "ui.audit": ADMIN,
    "audit.listing": ADMIN,
    "audit.show": ADMIN,
    "audit.export": ADMIN,
    "webhooks.listing": ADMIN,
    "webhooks.show": ADMIN,
    "webhooks.create": ADMIN,
    "webhooks.change": ADMIN,
    "webhooks.replace": ADMIN,
    "webhooks.delete": ADMIN,
    "webhooks.test": ADMIN,
    "webhooks.deliveries": ADMIN,
    "webhooks.replay": ADMIN,
    **dict.fromkeys((f"clouds.{what}" for what in ("listing", "show", "create", "change", "replace")), ADMIN),
    "clouds.delete": ADMIN,
    "ssh.record": ADMIN,  # whoever says by which key a machine is known says who is sent its scripts
    "clouds.check": ADMIN,  # it signs in with the secret
    "webhooks.delivery": ADMIN,
    "given.exact": ADMIN,  # tokens and secrets as they were
    "appliance.resume": ADMIN,
}


# What concerns the whole appliance, and so nobody who is limited to some projects, whatever their role.
WHOLE: frozenset[str] = frozenset(
    {
        "appliance.observe", "health.metrics", "reports.durations", "reports.success", "reports.failures",
        "reports.repairs", "reports.inventory", "ui.reports_page", "ui.settings", "ui.doctor_part", "ui.run_doctor",
        "breaker.reset", "ui.reset_breaker", "upstreams.seed", "ui.seed_upstream",
        "upstreams.purge", "ui.purge_upstream",
        "ui.take_snapshot", "ui.control_snapshot", "ui.roll_channel_back",
        "roles.delete", "repositories.publish", "ui.publish_repository", "mirrors.sync", "mirrors.preview",
        "ui.control_mirror",
        "tasks.cancel", "ui.control_task", "snapshots.create", "snapshots.verify", "snapshots.promote",
        "channels.rollback",
    }
)  # fmt: skip
# What writes nothing though it is asked for by POST.
READS: frozenset[str] = frozenset(
    {"diffs.compare", "rollouts.preview", "rollouts.packages", "ui.preview_rollout", "ui.preview_packages"}
)
# What only somebody at a browser may do, and no token: who has found one must not make it live longer than it does.
BY_HAND: frozenset[str] = frozenset(
    {
        "account.password", "account.begin_totp", "account.confirm_totp", "account.renew_recovery_codes",
        "account.remove_totp", "account.create_token", "account.end_session", "account.end_sessions",
        "ui.change_password", "ui.begin_totp", "ui.confirm_totp", "ui.renew_recovery_codes", "ui.remove_totp",
        "ui.create_own_token", "ui.end_session", "ui.end_sessions", "ui.second_factor", "ui.check_second_factor",
    }
)  # fmt: skip
# All that a session may do before it is whole.
STAGES: dict[str, frozenset[str]] = {
    "second factor": frozenset({"ui.second_factor", "ui.check_second_factor", "ui.sign_out"}),
    "password": frozenset({"ui.account", "ui.change_password", "ui.sign_out", "account.show", "account.password"}),
    "enrol": frozenset(
        {"ui.account", "ui.begin_totp", "ui.confirm_totp", "ui.sign_out", "account.show", "account.begin_totp",
         "account.confirm_totp"}
    ),
}  # fmt: skip
SAFE_METHODS: frozenset[str] = frozenset({"GET", "HEAD", "OPTIONS"})
STAGE_SENTENCES: dict[str, str] = {
    "second factor": "The code of your second factor is still to be entered.",
    "password": "This is a one-time password; choose one of your own first.",
    "enrol": "Your role needs a second factor; set it up first.",
}


def verdict(actor: Actor, endpoint: str | None, method: str = "GET") -> str:
    """Why somebody may not use a route; empty: they may."""
    least = needed(endpoint)
    if least is None:
        return f"{endpoint} is in no permission table, so nobody may use it."
    if least == PUBLIC:
        return ""
    if actor.stage and endpoint not in STAGES[actor.stage]:
        return STAGE_SENTENCES[actor.stage]
    if not allows(actor.role, least):
        return f"This needs the role {least}; {actor.label} is {actor.role}."
    if actor.projects is not None and endpoint in WHOLE:
        return f"This concerns the whole appliance; {actor.label} works in some projects only."
    if endpoint in BY_HAND and actor.by != SESSION:
        return "This is not possible with a token; sign in at /login."
    if actor.read_only and method not in SAFE_METHODS and endpoint not in READS:
        return f"{actor.label} may only read."
    return ""


def needed(endpoint: str | None) -> str | None:
    """The least role for an endpoint; None means: nobody."""
    return PERMISSIONS.get(endpoint or "")


def allows(role: str, least: str) -> bool:
    """Whether a role reaches the least role that is needed."""
    return _RANK.get(role, -1) >= _RANK[least]


def lesser(one: str, other: str) -> str:
    """The lower of two roles: a token never exceeds the user it belongs to."""
    return min(one, other, key=lambda role: _RANK.get(role, -1))
