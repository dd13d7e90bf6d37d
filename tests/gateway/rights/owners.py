"""APIs, plans and consumers: what their owners do to them while they are used."""

from typing import Any

from hypothesis import strategies as st
from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Team
from portal.db import utcnow
from tests.gateway.rights.machine import EITHER, Machine, act, row_of


class Owners(Machine):
    @act(consumer=EITHER, resumes=st.booleans())
    def consumer_is_suspended(self, consumer: int, resumes: bool) -> None:
        who = self.world.consumers[consumer]
        verb = registry.resume_consumer if resumes else registry.suspend_consumer
        self.does(True, lambda s: verb(s, row_of(s, who)))
        who.suspended = not resumes

    @act(consumer=EITHER, team=EITHER)
    def consumer_is_moved(self, consumer: int, team: int) -> None:
        who, there = self.world.consumers[consumer], self.teams[team]
        allowed = who.team != there
        self.does(allowed, lambda s: registry.move_consumer(s, row_of(s, who), s.get_one(Team, there)))
        who.team = there

    @act(consumer=EITHER)
    def consumer_is_deleted(self, consumer: int) -> None:
        """Another one comes in its place; the keys of the old one are tried on."""
        who = self.world.consumers[consumer]

        def verb(session: Session) -> Any:
            registry.delete_consumer(session, row_of(session, who))
            return self.new_consumer(session, who.team)

        self.world.consumers[consumer] = self.does(True, verb)
        self.world.forget_consumer(who)

    @act(api=EITHER, resumes=st.booleans())
    def api_is_paused(self, api: int, resumes: bool) -> None:
        what = self.world.apis[api]
        allowed = resumes or what.live
        verb = registry.resume if resumes else registry.pause
        self.does(allowed, lambda s: verb(s, row_of(s, what)))
        if allowed:
            what.paused = not resumes

    @act(api=EITHER)
    def api_is_deprecated(self, api: int) -> None:
        what = self.world.apis[api]
        dates = {"at": utcnow(), "sunset_at": None, "successor": None}
        self.does(what.live, lambda s: registry.deprecate(s, row_of(s, what), message="", **dates))
        what.deprecated = what.live

    @act(often=2, api=EITHER, revives=st.booleans())
    def api_is_retired(self, api: int, revives: bool) -> None:
        what = self.world.apis[api]
        allowed = revives or (what.live and what.deprecated)
        verb = registry.revive if revives else registry.retire
        self.does(allowed, lambda s: verb(s, row_of(s, what)))
        if allowed:
            what.retired = not revives

    @act(api=EITHER, reopens=st.booleans())
    def api_is_closed(self, api: int, reopens: bool) -> None:
        what = self.world.apis[api]
        allowed = reopens or what.live
        verb = registry.reopen if reopens else registry.close
        self.does(allowed, lambda s: verb(s, row_of(s, what)))
        if allowed:
            what.closed = not reopens

    @act(api=EITHER, again=st.booleans())
    def api_is_unpublished(self, api: int, again: bool) -> None:
        what = self.world.apis[api]
        if not again:
            self.does(True, lambda s: registry.unpublish(s, row_of(s, what)))
            what.unpublish()
            return
        self.does(
            not what.live, lambda s: registry.publish(s, row := row_of(s, what), by=None, expected=row.draft_number)
        )
        what.live = True

    @act(api=EITHER)
    def api_is_deleted(self, api: int) -> None:
        """Another one comes in its place; keys are tried at the old one once more."""
        what = self.world.apis[api]

        def verb(session: Session) -> Any:
            registry.delete_api(session, row_of(session, what))
            return self.new_api(session)

        self.world.apis[api] = self.does(True, verb)
        self.world.forget_api(what)
        self.gone.append(what)

    @act(api=EITHER, plan=EITHER)
    def plan_is_offered_or_not(self, api: int, plan: int) -> None:
        what, which = self.world.apis[api], self.world.plans[plan]
        offered = [each for each in what.plans if each is not which]
        if which not in what.plans:
            offered.append(which)
        self.does(True, lambda s: registry.offer_plans(s, row_of(s, what), [row_of(s, each) for each in offered]))
        what.plans = offered

    @act(plan=EITHER)
    def plan_is_deleted(self, plan: int) -> None:
        """Another one comes in its place, and is offered wherever the old one was."""
        which = self.world.plans[plan]
        allowed = not self.world.is_in_use(which)
        offering = [api for api in self.world.apis if which in api.plans]

        def verb(session: Session) -> Any:
            registry.delete_plan(session, row_of(session, which))
            made = self.new_plan(session, approval=which.approval)
            for api in offering:
                row = row_of(session, api)
                registry.offer_plans(session, row, [*row.plans, row_of(session, made)])
            return made

        made = self.does(allowed, verb)
        if not allowed:
            return
        self.world.plans[plan] = made
        for api in offering:
            api.plans = [*(each for each in api.plans if each is not which), made]
