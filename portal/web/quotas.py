"""Quotas as pages show them."""

from collections.abc import Collection
from datetime import date, datetime, tzinfo

from flask import Blueprint, current_app
from sqlalchemy.orm import Session

from portal import config_of
from portal.db import utcnow
from portal.registry.models import Subscription
from portal.registry.periods import Period
from portal.traffic.allowances import Allowance, Forecast, allowances
from portal.traffic.foresight import Affected, Hit

_RULES = {
    "per_second": "per second",
    "per_minute": "per minute",
    "quota_day": "per day",
    "quota_month": "per month",
}


def zone() -> tzinfo:
    return config_of(current_app).quota_zone


def zone_name() -> str:
    return config_of(current_app).quota_timezone


def of(session: Session, subscriptions: Collection[Subscription]) -> dict[int, list[Allowance]]:
    """The quotas of those that have some, by the subscription's number."""
    return allowances(session, subscriptions, now=utcnow(), zone=zone())


def set_up(bp: Blueprint) -> None:
    bp.add_app_template_filter(in_zone, "in_quota_zone")
    bp.add_app_template_filter(calendar_day, "calendar_day")
    bp.add_app_template_filter(ahead, "forecast")
    bp.add_app_template_filter(judged_by, "judged_by")
    bp.add_app_template_filter(met, "met")
    bp.add_app_template_global(zone_name, "quota_timezone")


def in_zone(moment: datetime) -> str:
    """`1 Dec, 00:00`, by the clocks of the quotas' time zone."""
    there = moment.astimezone(zone())
    return f"{there.day} {there:%b}, {there:%H:%M}"


def calendar_day(day: date) -> str:
    return f"{day.day} {day:%b}"


def ahead(allowance: Allowance) -> str:
    """When a month's quota runs out, in a sentence; "" where that is not asked."""
    found = allowance.forecast
    if allowance.period is Period.DAY or (allowance.percent or 0) >= 100:
        return ""
    if found is None:
        return "When it runs out is not known before one whole day is counted."
    if found.runs_out_on is None:
        return "At this rate it lasts."
    return f"At this rate it runs out on {calendar_day(found.runs_out_on)}."


def judged_by(found: Forecast) -> str:
    if found.days == 7:
        return "Judged by the last 7 days: each day is taken to be like the same weekday before."
    days = "day" if found.days == 1 else f"{found.days} days"
    return f"Judged by the mean of the last whole {days}; there is no whole week yet."


def met(affected: Affected) -> list[str]:
    """The rules that a subscription would have met for certain, or else perhaps, each in a phrase."""
    certain = [hit for hit in affected.hits if hit.least]
    return [_met(hit) for hit in certain or affected.hits]


def _met(hit: Hit) -> str:
    calls = f"{hit.highest:,} {'call' if hit.highest == 1 else 'calls'}"
    where = "this month so far" if hit.step == "month" else f"in the busiest {hit.step}"
    return f"{_RULES[hit.rule]}: {calls} {where}"
