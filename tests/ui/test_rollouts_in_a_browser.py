"""Rollouts as somebody uses them: the plan follows the text, the budget moves by itself, what one opened stays open."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.ui import rolling
from tests.ui.play import complaints, signed_in
from tests.ui.rolling import PLAN, Rolling
from tests.ui.served import Appliance, needs_assets

pytestmark = [pytest.mark.chromium, pytest.mark.network, needs_assets]


def test_a_rollout_from_its_first_line_to_its_last_machine(served: Appliance, chromium: Browser) -> None:
    rolling.fill(served.database)
    page = signed_in(chromium, served.url)
    heard = complaints(page)

    # The plan follows the text.
    page.goto(f"{served.url}/rollouts/new?form=reboot&cluster=roll")
    text, preview = page.locator("textarea"), page.locator("#preview")
    expect(preview.locator(".waves > li")).to_have_count(5, timeout=60_000)
    text.fill(PLAN)
    expect(preview.locator(".waves > li")).to_have_count(3, timeout=60_000)
    text.fill(PLAN.replace("size: 4", "size: 2"))
    expect(preview.locator(".waves > li")).to_have_count(5, timeout=60_000)
    assert page.locator(".editor .k-tag").first.inner_text() == "name"

    # What is wrong is told at its line, and the line leads there.
    text.fill(PLAN.replace("canary: 1", "canary: nine"))
    expect(preview.locator("#refused")).to_contain_text("order.canary", timeout=60_000)
    preview.get_by_text("Line 6").click()
    marked = text.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")
    assert marked == "  canary: nine"
    text.fill(PLAN)
    expect(preview.locator(".waves > li")).to_have_count(3, timeout=60_000)
    page.get_by_role("button", name="Keep this plan").click()

    # It starts when the number is typed.
    page.locator("#c-start summary").click()
    page.locator("#c-start input[name=typed]").fill("9")
    page.locator("#c-start button").click()
    expect(page.locator(".title .pill")).to_have_class("pill running")
    number = int(page.url.rpartition("/")[2].partition("?")[0])

    # The budget moves by itself, and what one has opened to confirm stays open with what was typed.
    runner = Rolling(served.database)
    runner.script.hangs.add(("roll-01", "drain"))
    page.locator("#c-pause summary").click()
    page.locator("#c-pause input[name=reason]").fill("a look")
    runner.turn(3)
    expect(page.locator("#budget li").first).to_contain_text("1/2", timeout=60_000)
    expect(page.locator("#hands")).to_contain_text("3 instances are still on it.", timeout=60_000)
    assert page.locator("#c-pause input[name=reason]").input_value() == "a look"
    page.locator("#c-pause button").click()
    expect(page.locator("#why")).to_contain_text("a look")
    page.get_by_role("button", name="Resume").click()

    # A machine that fails is skipped, another is tried again.
    runner.script.hangs.clear()
    runner.script.breaks.add(("roll-01", "verify"))
    runner.turn(6)
    failed = page.locator(".members tr", has_text="roll-01")
    expect(failed.locator(".pill")).to_have_class("pill failed", timeout=60_000)
    failed.get_by_role("button", name="retry").click()
    runner.script.breaks.clear()
    runner.turn(8)
    expect(page.locator("#why")).to_contain_text("It goes on when somebody says so.", timeout=60_000)
    page.get_by_role("button", name="Go on with the next wave").click()
    page.goto(f"{served.url}/rollouts/{number}?wave=2")
    waiting = page.locator(".members tr", has_text="roll-09")
    waiting.locator("summary").click()
    waiting.get_by_role("button", name="skip").click()
    runner.turn(40)
    expect(page.locator(".title .pill")).to_have_class("pill done", timeout=60_000)
    page.goto(f"{served.url}/rollouts/{number}/machines/roll-01")
    expect(page.locator(".steps")).to_contain_text("try 2")
    page.context.close()
    assert heard == []
