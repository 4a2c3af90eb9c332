"""The whole table of phases: for each phase and each thing seen, what follows."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxeapp.bmc import power
from pxeapp.bmc.errors import BmcError, BmcRefused, BmcUnreachable, BmcWrongPassword
from pxeapp.bmc.ports import BootDevice, PowerState
from pxeapp.bmc.power import STAGES, Decision, Observation, PowerTimings, Standing, decide

T0 = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
T = PowerTimings()
GONE = BmcUnreachable("10.0.0.7:623", 15)
LOCKED = BmcWrongPassword("10.0.0.7:623", "admin")
EARLY, SETTLED, LATE = 0.5, T.settle.total_seconds(), T.confirm.total_seconds()


def after(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def stands(phase: str, goal: str = "netboot", **more: object) -> Standing:
    values: dict[str, object] = {"deadline": T0 + T.deadline, "boot_device": "network", **more}
    return Standing(goal, phase, T0, **values)  # type: ignore[arg-type]


def sees(
    state: PowerState,
    seconds: float = EARLY,
    *,
    device: BootDevice | None = None,
    trouble: BmcError | None = None,
    steady: bool = True,
) -> Observation:
    return Observation(after(seconds), state, device, trouble, T0 if steady else None)


def brief(decision: Decision) -> str:
    """A decision in two words, for the table below."""
    if decision.do == "end":
        assert decision.error is not None
        return f"{decision.outcome} {decision.error.code}"
    return f"{decision.do} {decision.phase}".strip()


TABLE: list[tuple[str, Observation, str]] = [
    # off: due
    ("off_due", sees("on"), "intend off_intended"),
    ("off_due", sees("off"), "advance boot_due"),
    ("off_due", sees("unknown"), "observe"),
    ("off_due", sees("unknown", trouble=GONE), "observe"),
    ("off_due", sees("unknown", LATE, trouble=GONE), "failed unreachable"),
    ("off_due", sees("unknown", trouble=LOCKED), "failed wrong_password"),
    # off: intended, and nobody knows whether it left
    ("off_intended", sees("on"), "observe"),
    ("off_intended", sees("on", SETTLED), "intend off_intended"),
    ("off_intended", sees("on", SETTLED, steady=False), "observe"),
    ("off_intended", sees("off"), "advance boot_due"),
    ("off_intended", sees("unknown", LATE), "observe"),
    ("off_intended", sees("unknown", LATE, trouble=GONE), "observe"),
    ("off_intended", sees("unknown", trouble=LOCKED), "unconfirmed wrong_password"),
    # off: sent
    ("off_sent", sees("on"), "observe"),
    ("off_sent", sees("on", LATE), "unconfirmed unconfirmed"),
    ("off_sent", sees("off", LATE), "advance boot_due"),
    ("off_sent", sees("unknown", LATE), "observe"),
    # boot device
    ("boot_due", sees("off"), "intend boot_intended"),
    ("boot_due", sees("on"), "observe"),
    ("boot_due", sees("on", LATE), "unconfirmed unconfirmed"),
    ("boot_intended", sees("off", device="network"), "advance on_due"),
    ("boot_intended", sees("off", device=None), "intend boot_intended"),
    ("boot_sent", sees("off", device="network"), "advance on_due"),
    ("boot_sent", sees("off", device=None), "advance on_due"),
    ("boot_sent", sees("off", device="disk"), "observe"),
    ("boot_sent", sees("off", SETTLED, device="disk"), "intend boot_intended"),
    ("boot_sent", sees("unknown", trouble=GONE), "observe"),
    ("boot_sent", sees("unknown"), "observe"),
    # on
    ("on_due", sees("off"), "intend on_intended"),
    ("on_due", sees("on"), "advance done"),
    ("on_due", sees("unknown"), "observe"),
    ("on_intended", sees("off"), "observe"),
    ("on_intended", sees("off", SETTLED), "intend on_intended"),
    ("on_intended", sees("on"), "advance done"),
    ("on_sent", sees("off"), "observe"),
    ("on_sent", sees("off", LATE), "unconfirmed unconfirmed"),
    ("on_sent", sees("on", LATE), "advance done"),
]


@pytest.mark.parametrize(("phase", "seen", "follows"), TABLE)
def test_table(phase: str, seen: Observation, follows: str) -> None:
    assert brief(decide(stands(phase), seen)) == follows


@pytest.mark.parametrize(("goal", "stages"), STAGES.items())
def test_goals_walk_through_their_stages(goal: str, stages: tuple[str, ...]) -> None:
    phase, walked = power.first_phase(goal), []
    while phase != power.DONE:
        stage = phase.partition("_")[0]
        walked.append(stage)
        state: PowerState = "on" if stage == "on" else "off"
        phase = decide(stands(f"{stage}_sent", goal), sees(state, device="network")).phase
    assert tuple(walked) == stages


def test_lost_intent_is_renewed_once_per_command() -> None:
    again = decide(stands("on_intended", renewed=1), sees("off", SETTLED))
    assert brief(again) == "unconfirmed unconfirmed"
    assert "told to go on" in str(again.error)


def test_boot_device_is_tried_three_times() -> None:
    assert brief(decide(stands("boot_intended", renewed=1), sees("off"))) == "intend boot_intended"
    assert brief(decide(stands("boot_intended", renewed=2), sees("off"))) == "failed boot_device"


def test_commands_of_different_actions_keep_their_distance_too() -> None:
    soon = stands("off_due", command_at=T0)
    assert brief(decide(soon, sees("on", T.gap.total_seconds() - 0.1))) == "observe"
    assert brief(decide(soon, sees("on", T.gap.total_seconds()))) == "intend off_intended"


@pytest.mark.parametrize(
    ("phase", "seen", "follows"),
    [
        ("off_due", sees("on", 300), "failed too_late"),
        ("off_intended", sees("on", 300), "unconfirmed unconfirmed"),
        ("off_sent", sees("unknown", 300), "unconfirmed unconfirmed"),
        ("off_sent", sees("unknown", 300, trouble=GONE), "unconfirmed unreachable"),
        ("off_sent", sees("off", 300), "failed too_late"),
        ("boot_due", sees("off", 300), "failed too_late"),
        ("boot_intended", sees("off", 300), "unconfirmed boot_device"),
        ("boot_intended", sees("off", 300, device="network"), "failed too_late"),
        ("on_sent", sees("on", 300), "advance done"),
    ],
)
def test_past_its_deadline_only_the_end_of_the_last_stage_still_counts(
    phase: str, seen: Observation, follows: str
) -> None:
    assert brief(decide(stands(phase), seen)) == follows


PHASES = sorted({phase for phase, _, _ in TABLE})
observations = st.builds(
    sees,
    st.sampled_from(["on", "off", "unknown"]),
    st.floats(0, 400),
    device=st.sampled_from(["network", "disk", None]),
    steady=st.booleans(),
)


@given(st.sampled_from(PHASES), observations, st.integers(0, 3))
def test_rules_that_hold_for_whatever_is_seen(phase: str, seen: Observation, renewed: int) -> None:
    decision = decide(stands(phase, renewed=renewed), seen)
    stage, _, part = phase.partition("_")
    if decision.do == "intend":
        assert seen.power != "unknown"
        assert decision.phase == f"{stage}_intended", "no stage is jumped"
        assert seen.power == ("off" if stage in ("boot", "on") else "on"), "nothing is sent that is there already"
        assert part != "sent" or stage == "boot", "a recorded power command is never sent again"
        assert seen.at < T0 + T.deadline
    if decision.do == "advance":
        assert seen.power == ("on" if stage == "on" else "off"), "success is what was observed"
    if decision.do == "end":
        assert decision.outcome in (power.FAILED, power.UNCONFIRMED)
        assert decision.error is not None
        assert str(decision.error)


@given(
    st.sampled_from(PHASES),
    st.floats(0, 400),
    st.sampled_from([GONE, LOCKED, BmcRefused("10.0.0.7:623", "go on", "no")]),
)
def test_trouble_never_sends_anything(phase: str, seconds: float, trouble: BmcError) -> None:
    decision = decide(stands(phase), sees("unknown", seconds, trouble=trouble))
    assert decision.do in ("observe", "end")
    assert (decision.do == "end") or trouble.retryable
