"""The lifecycle as a table, in OpenStack Ironic's words; the diagram in docs/ is drawn from it.

A stable state waits for an operator. A transitional state is worked on by the reconciler, has a
persisted deadline, and has exactly one failure state. Claims are compare-and-set: see `service.claim`.
"""

from __future__ import annotations

from enum import StrEnum

from pxeapp.errors import Conflict


class State(StrEnum):
    """Every state a machine can be in."""

    ENROLLED = "enrolled"
    MANAGEABLE = "manageable"
    AVAILABLE = "available"
    RESERVED = "reserved"
    ACTIVE = "active"
    RESCUE = "rescue"
    RETIRED = "retired"
    VERIFYING = "verifying"
    INSPECTING = "inspecting"
    DEPLOYING = "deploying"
    DRAINING = "draining"
    SERVICING = "servicing"
    CLEANING = "cleaning"
    RESCUING = "rescuing"
    VERIFY_FAILED = "verify failed"
    INSPECT_FAILED = "inspect failed"
    DEPLOY_FAILED = "deploy failed"
    DRAIN_FAILED = "drain failed"
    SERVICE_FAILED = "service failed"
    CLEAN_FAILED = "clean failed"
    RESCUE_FAILED = "rescue failed"


S = State

FAILURE_OF: dict[State, State] = {
    S.VERIFYING: S.VERIFY_FAILED,
    S.INSPECTING: S.INSPECT_FAILED,
    S.DEPLOYING: S.DEPLOY_FAILED,
    S.DRAINING: S.DRAIN_FAILED,
    S.SERVICING: S.SERVICE_FAILED,
    S.CLEANING: S.CLEAN_FAILED,
    S.RESCUING: S.RESCUE_FAILED,
}
TRANSITIONAL = frozenset(FAILURE_OF)
FAILED = frozenset(FAILURE_OF.values())

TRANSITIONS: dict[tuple[State, str], State] = {
    (S.ENROLLED, "manage"): S.VERIFYING,
    (S.VERIFY_FAILED, "manage"): S.VERIFYING,
    (S.VERIFY_FAILED, "retire"): S.RETIRED,
    (S.VERIFYING, "done"): S.MANAGEABLE,
    (S.ENROLLED, "provide"): S.AVAILABLE,  # machines without a BMC skip verification; an operator powers them
    (S.MANAGEABLE, "provide"): S.AVAILABLE,
    (S.MANAGEABLE, "inspect"): S.INSPECTING,
    (S.AVAILABLE, "inspect"): S.INSPECTING,
    (S.INSPECT_FAILED, "inspect"): S.INSPECTING,
    (S.INSPECTING, "done"): S.MANAGEABLE,
    (S.INSPECT_FAILED, "manage"): S.MANAGEABLE,
    (S.AVAILABLE, "manage"): S.MANAGEABLE,
    (S.AVAILABLE, "reserve"): S.RESERVED,
    (S.RESERVED, "unreserve"): S.AVAILABLE,
    (S.RESERVED, "deploy"): S.DEPLOYING,
    (S.ENROLLED, "deploy"): S.DEPLOYING,
    (S.MANAGEABLE, "deploy"): S.DEPLOYING,
    (S.AVAILABLE, "deploy"): S.DEPLOYING,
    (S.ACTIVE, "deploy"): S.DEPLOYING,  # reimage; the API asks for "reimage": true
    (S.DEPLOY_FAILED, "deploy"): S.DEPLOYING,
    (S.DEPLOYING, "done"): S.ACTIVE,
    (S.DEPLOYING, "abort"): S.DEPLOY_FAILED,
    (S.DEPLOY_FAILED, "release"): S.AVAILABLE,
    (S.ACTIVE, "release"): S.AVAILABLE,
    (S.ACTIVE, "drain"): S.DRAINING,
    (S.DRAIN_FAILED, "drain"): S.DRAINING,
    (S.DRAIN_FAILED, "undrain"): S.ACTIVE,
    (S.DRAINING, "done"): S.SERVICING,
    (S.DRAINING, "abort"): S.DRAIN_FAILED,
    (S.ACTIVE, "service"): S.SERVICING,
    (S.SERVICE_FAILED, "service"): S.SERVICING,
    (S.SERVICE_FAILED, "abort"): S.ACTIVE,  # the operator takes it as it is
    (S.SERVICING, "done"): S.ACTIVE,
    (S.SERVICING, "abort"): S.SERVICE_FAILED,
    (S.ACTIVE, "clean"): S.CLEANING,
    (S.AVAILABLE, "clean"): S.CLEANING,
    (S.MANAGEABLE, "clean"): S.CLEANING,
    (S.CLEAN_FAILED, "clean"): S.CLEANING,
    (S.CLEAN_FAILED, "manage"): S.MANAGEABLE,  # a disk that cannot be wiped must not hold its machine for ever
    (S.CLEANING, "done"): S.AVAILABLE,
    (S.CLEANING, "abort"): S.CLEAN_FAILED,
    (S.ACTIVE, "rescue"): S.RESCUING,
    (S.DEPLOY_FAILED, "rescue"): S.RESCUING,
    (S.RESCUE_FAILED, "rescue"): S.RESCUING,
    (S.RESCUING, "done"): S.RESCUE,
    (S.RESCUING, "abort"): S.RESCUE_FAILED,
    (S.RESCUE, "unrescue"): S.ACTIVE,
    (S.RESCUE_FAILED, "unrescue"): S.ACTIVE,
    (S.ENROLLED, "retire"): S.RETIRED,
    (S.MANAGEABLE, "retire"): S.RETIRED,
    (S.AVAILABLE, "retire"): S.RETIRED,
    (S.ACTIVE, "retire"): S.RETIRED,
    (S.DEPLOY_FAILED, "retire"): S.RETIRED,
    (S.RETIRED, "manage"): S.ENROLLED,
    **{(transitional, "fail"): failed for transitional, failed in FAILURE_OF.items()},
}


def target(state: str, verb: str) -> State:
    """The state that `verb` leads to; raises Conflict with what can be done instead."""
    found = TRANSITIONS.get((State(state), verb))
    if found is None:
        raise Conflict(
            f"A machine that is {state} cannot {verb}.",
            hint=f"From {state} it can: {', '.join(verbs(State(state))) or 'nothing'}.",
        )
    return found


def verbs(state: State) -> list[str]:
    """What can be asked of a machine in this state, in the table's order."""
    return [verb for (start, verb) in TRANSITIONS if start == state]
