"""Subscriptions: asked for, decided, changed, stopped and ended."""

from hypothesis import strategies as st
from sqlalchemy.orm import Session

from portal import registry
from tests.gateway.rights.machine import EITHER, ENDS, NOTICES, UNTILS, YOUNG, Machine, act, at, is_to_come, row_of
from tests.gateway.rights.model import Ask, Use, earliest


class Subscriptions(Machine):
    @act(often=4, consumer=EITHER, api=EITHER, plan=EITHER, own=ENDS)
    def subscribes(self, consumer: int, api: int, plan: int, own: float | None) -> None:
        self.begin(consumer, api, plan, own, admitted=False)

    @act(often=2, consumer=EITHER, api=EITHER, plan=EITHER, until=UNTILS)
    def is_admitted(self, consumer: int, api: int, plan: int, until: float | None) -> None:
        self.begin(consumer, api, plan, until, admitted=True)

    def begin(self, consumer: int, api: int, plan: int, days: float | None, *, admitted: bool) -> None:
        who, what, under = self.world.consumers[consumer], self.world.apis[api], self.world.plans[plan]
        allowed = not what.is_dead and (admitted or not what.closed) and is_to_come(days)
        allowed = allowed and under in what.plans and self.world.in_the_way(who, what) is None

        def verb(session: Session) -> Use:
            rows, moment = (row_of(session, each) for each in (who, what, under)), at(days)
            if admitted:
                row = registry.admit(session, *rows, by=None, until=moment)
            else:
                row = registry.subscribe(session, *rows, by=None, purpose="It is needed.", ends_at=moment)
            self.world.make_room(who, what)
            return self.new_use(session, row, who, what, under)

        use: Use | None = self.does(allowed, verb)
        if use is None:
            return
        assert (use.state == "pending") == (under.approval and not admitted)
        use.own, use.until = (None, self.moment(days)) if admitted else (self.moment(days), None)

    @act(often=3, which=st.integers(0, 3), approves=st.booleans(), until=UNTILS)
    def is_decided(self, which: int, approves: bool, until: float | None) -> None:
        if (use := self.asked(which)) is None:
            return
        ask = use.asks[-1]
        allowed = ask.waits and (not approves or (not use.api.is_dead and is_to_come(until)))

        def verb(session: Session) -> None:
            row = row_of(session, ask)
            if approves:
                registry.approve(session, row, by=None, until=at(until))
            else:
                registry.reject(session, row, by=None, words="No.")

        self.does(allowed, verb)
        if not allowed:
            return
        ask.waits = False
        if approves:
            use.state = "approved" if use.state == "pending" else use.state
            use.plan = ask.plan
            use.agree(self.moment(until))
        elif use.state == "pending":
            use.state = "rejected"

    @act(which=st.integers(0, 3))
    def request_is_withdrawn(self, which: int) -> None:
        if (use := self.asked(which)) is None:
            return
        ask = use.asks[-1]
        allowed = ask.waits
        self.does(allowed, lambda s: registry.withdraw_request(s, row_of(s, ask)))
        ask.waits = False
        if allowed and use.state == "pending":
            use.state = "ended"

    def asked(self, which: int) -> Use | None:
        """For which something was asked for, decided or not; 0 is the youngest."""
        found = [use for use in reversed(self.world.uses) if use.asks and not use.gone]
        return found[min(which, len(found) - 1)] if found else None

    @act(often=2, use=YOUNG, plan=EITHER)
    def switches_plan(self, use: Use, plan: int) -> None:
        if use.gone:
            return
        wanted = self.world.plans[plan]
        allowed = use.state == "approved" and not use.api.is_dead and wanted in use.api.plans
        allowed = allowed and (wanted is not use.plan or (use.until is not None and wanted.approval))
        allowed = allowed and not (wanted.approval and use.waiting)

        def verb(session: Session) -> int | None:
            asked = registry.switch_plan(
                session, row_of(session, use), row_of(session, wanted), by=None, purpose="More is needed."
            )
            session.flush()
            return asked.id if asked else None

        number = self.does(allowed, verb)
        if not allowed:
            return
        assert (number is not None) == wanted.approval
        if number is not None:
            use.asks.append(Ask(number, wanted))
            return
        use.plan = wanted
        if use.waiting:
            use.waiting.waits = False

    @act(use=YOUNG, plan=EITHER)
    def is_given_plan(self, use: Use, plan: int) -> None:
        if use.gone:
            return
        wanted = self.world.plans[plan]
        allowed = use.has_begun and wanted in use.api.plans
        self.does(allowed, lambda s: registry.assign_plan(s, row_of(s, use), row_of(s, wanted)))
        if allowed:
            use.plan = wanted

    @act(use=YOUNG, until=UNTILS)
    def is_granted(self, use: Use, until: float | None) -> None:
        allowed = not use.gone and use.has_begun and is_to_come(until)
        if use.gone:
            return
        self.does(allowed, lambda s: registry.grant_until(s, row_of(s, use), at(until)))
        if allowed:
            use.agree(self.moment(until))

    @act(use=YOUNG, own=ENDS)
    def is_limited(self, use: Use, own: float | None) -> None:
        if use.gone:
            return
        latest, end = use.ends if use.notice is not None else use.until, self.moment(own)
        allowed = not use.is_over and is_to_come(own) and (latest is None or end is None or end <= latest)
        self.does(allowed, lambda s: registry.limit_subscription(s, row_of(s, use), at(own)))
        if allowed and (end is not None or use.notice is None):
            use.own = end

    @act(use=YOUNG, days=NOTICES)
    def is_given_notice(self, use: Use, days: float) -> None:
        if use.gone:
            return
        end, anyway = self.world.clock + days, earliest(use.own, use.until)
        allowed = use.has_begun and days > 0 and (anyway is None or anyway > end)
        self.does(allowed, lambda s: registry.give_notice(s, row_of(s, use), ends_at=at(days)))
        if allowed:
            use.notice = end

    @act(use=YOUNG)
    def notice_is_withdrawn(self, use: Use) -> None:
        if use.gone:
            return
        withdrawn = self.does(True, lambda s: registry.withdraw_notice(s, row_of(s, use)))
        assert withdrawn == (not use.is_over and use.notice is not None)
        if withdrawn:
            use.notice = None

    @act(often=2, use=YOUNG, resumes=st.booleans())
    def is_suspended(self, use: Use, resumes: bool) -> None:
        if use.gone:
            return
        allowed = use.has_begun

        def verb(session: Session) -> None:
            if resumes:
                registry.resume_subscription(session, row_of(session, use))
            else:
                registry.suspend_subscription(session, row_of(session, use), words="For a while.")

        self.does(allowed, verb)
        if allowed:
            use.state = "approved" if resumes else "suspended"

    @act(use=YOUNG)
    def is_ended(self, use: Use) -> None:
        if use.gone:
            return
        self.does(True, lambda s: registry.end_subscription(s, row_of(s, use)))
        if not use.is_over:
            use.let_go("ended")
