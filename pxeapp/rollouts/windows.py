"""Maintenance windows: when machines may be taken out of service, in the local time of the place.

A window says when a machine may *begin*. What has begun is brought to its end, so that nothing is left half-done; a
machine that could not end before the window closes, by the forecast, does not begin (see budget.py).
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM")]
AHEAD = 15  # days that are looked through for the next opening: each day of the week comes twice


class Window(BaseModel):
    """Open on these days from one time to another; one that ends before it begins ends on the next day."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    days: Annotated[tuple[Day, ...], Field(min_length=1, description="The days on which it opens.")] = DAYS
    begins: Annotated[Clock, Field(alias="from")]
    ends: Annotated[Clock, Field(alias="to")]
    zone: Annotated[str, Field(max_length=60, description="A time zone's name: Europe/Berlin.")] = "UTC"

    @field_validator("zone")
    @classmethod
    def _known(cls, said: str) -> str:
        try:
            zoneinfo.ZoneInfo(said)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"There is no time zone {said!r}; write one like Europe/Berlin.") from None
        return said

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.begins == self.ends:
            raise ValueError(f"It opens and closes at {self.begins}; leave windows out if any time will do.")
        return self

    def openings(self, around: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """Its openings from the day before this moment on, in UTC."""
        zone = zoneinfo.ZoneInfo(self.zone)
        first = around.astimezone(zone).date() - dt.timedelta(days=1)
        for number in range(AHEAD):
            day = first + dt.timedelta(days=number)
            if DAYS[day.weekday()] not in self.days:
                continue
            last = day if self.begins < self.ends else day + dt.timedelta(days=1)
            opens = dt.datetime.combine(day, dt.time.fromisoformat(self.begins), zone).astimezone(dt.UTC)
            closes = dt.datetime.combine(last, dt.time.fromisoformat(self.ends), zone).astimezone(dt.UTC)
            if closes > opens:  # the hour that is left out in spring may swallow a short one
                yield opens, closes


def closes_at(windows: Sequence[Window], now: dt.datetime) -> dt.datetime | None:
    """When the present opening ends; None while all are closed. Windows that meet are one."""
    end = None
    moment = now
    while True:
        found = max(
            (closes for window in windows for opens, closes in window.openings(moment) if opens <= moment < closes),
            default=None,
        )
        if found is None or (end is not None and found - now > dt.timedelta(days=AHEAD)):
            return end
        end = moment = found


def opens_at(windows: Sequence[Window], now: dt.datetime) -> dt.datetime | None:
    """When the next opening begins; `now` while one is open, None where none comes."""
    if closes_at(windows, now) is not None:
        return now
    return min((opens for window in windows for opens, _ in window.openings(now) if opens > now), default=None)


def longest(windows: Sequence[Window], now: dt.datetime) -> dt.timedelta:
    """The longest opening of the next two weeks: whoever needs longer never begins."""
    moment, found = now, dt.timedelta()
    while (opens := opens_at(windows, moment)) is not None and opens - now < dt.timedelta(days=14):
        closes = closes_at(windows, opens)
        if closes is None:
            break
        found = max(found, closes - opens)
        moment = closes
    return found
