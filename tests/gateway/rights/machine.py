"""What people do to subscriptions and keys in any order, by the registry's own verbs, before a gateway that runs.

Each act asks the model first whether the verb may succeed, and the verb has to agree. After each of them every key is
tried at every API, and the gateway has to agree as well.
"""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from portal import gateway, registry
from portal.accounts import Team
from portal.db import UTCDateTime, utcnow
from portal.errors import PortalError
from portal.registry import revision
from portal.registry.models import Api, Approval, Consumer, Key, Plan, Subscription
from tests import factories
from tests.gateway.envoy import wait_for
from tests.gateway.rights import model
from tests.gateway.rights.model import Ask, Use, World

MOST_KEYS = 8
"""That are tried: the youngest."""
EITHER = st.integers(0, 1)
# No two kinds of ends fall together, and none on the clock, which goes by whole days: which of two came first by a
# millisecond is not what this is about.
EXPIRIES = st.sampled_from([None, 7.5, 40.5, -0.5])
STAYS = st.sampled_from([None, 1.125, 6.125, -0.5])
UNTILS = st.sampled_from([None, 3.625, 12.625, -0.5])
ENDS = st.sampled_from([None, 5.25, 20.25, -0.5])
NOTICES = st.sampled_from([2.75, 9.75, -0.5])
YOUNG = st.integers(0, 3)
"""A subscription or a key; 0 is the youngest."""


def act(*, often: int = 1, **drawn: st.SearchStrategy[Any]) -> Callable[[Any], Any]:
    """A method of a machine that is one of its acts; what it takes is drawn. One rule tries them all, since hypothesis
    would leave most rules out of an example, and few things happen to a key that nobody may issue."""

    def mark(method: Any) -> Any:
        method.often, method.drawn = often, drawn
        return method

    return mark


@dataclass
class House:
    """What all examples share: a database, and a node with its Envoy."""

    engine: Engine
    writing: Callable[[], Session]
    port: int
    upstream: int
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def settle(self) -> None:
        """Until the node serves what is committed."""
        with Session(self.engine) as session:
            wanted = revision.current(session)

        def is_live() -> bool:
            with Session(self.engine) as session:
                (node,) = gateway.nodes(session)
            return node.revision >= wanted

        wait_for(is_live, f"revision {wanted} is live")

    def call(self, path: str, token: str, *, writes: bool) -> tuple[int, str, dict[str, str]]:
        """Status, reason word, and what reached the upstream."""
        self.connection.request("POST" if writes else "GET", f"{path}/pets/1", headers={"X-API-Key": token})
        answer = self.connection.getresponse()
        status, body = answer.status, _json(answer.read())
        if "reason" in body:
            return status, body["reason"], {}
        return status, "ok", {name.lower(): value for name, value in body["headers"]}


class Machine(RuleBasedStateMachine):
    """What acts stand on; `subscriptions.py`, `keys.py` and `owners.py` have more of them."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.world = World()
        self.gone: list[model.Api] = []
        self.teams: list[int] = []
        self.changed = False

    # Between model and registry

    def does(self, allowed: bool, verb: Callable[[Session], Any]) -> Any:
        """In a transaction of its own; nothing when it is refused, as the model says it must be."""
        made, refusal = None, ""
        with self.house.writing() as session:
            try:
                made = verb(session)
                session.commit()
            except PortalError as error:
                refusal = str(error)
                note(f"Refused: {refusal}")
        assert allowed == (not refusal), refusal or "the registry allowed what the model refuses"
        self.changed = self.changed or allowed
        return made

    def moment(self, days: float | None) -> float | None:
        return None if days is None else self.world.clock + days

    @invariant()
    def the_gateway_agrees(self) -> None:
        if not self.changed:
            return
        self.house.settle()
        for key in self.world.keys[-MOST_KEYS:]:
            for api in (*self.world.apis, *self.gone[-1:]):
                self.agrees(key, api, writes=False)
                if key.reads_only or key.described:
                    self.agrees(key, api, writes=True)
        self.changed = False

    def agrees(self, key: model.Key, api: model.Api, *, writes: bool) -> None:
        status, reason, sent = self.house.call(api.path, key.token, writes=writes)
        assert (status, reason) == self.world.verdict(key, api, writes=writes), f"{key} at {api}, {writes=}"
        if status == 200:
            use = self.world.current(key.consumer, api)
            assert use is not None
            wanted = (key.consumer.public_id, key.public_id, str(use.number), str(use.plan.number))
            names = ("x-consumer-id", "x-key-id", "x-subscription-id", "x-plan-id")
            assert tuple(map(sent.get, names)) == wanted

    @classmethod
    def acts(cls) -> list[str]:
        """Their names, each as often as it is to be tried."""
        found = (name for name in dir(cls) if hasattr(getattr(cls, name), "drawn"))
        return [name for name in found for _ in range(getattr(cls, name).often)]

    def do(self, name: str, data: st.DataObject) -> None:
        chosen = getattr(self, name)
        values = {each: data.draw(strategy, label=each) for each, strategy in chosen.drawn.items()}
        for each, things in (("use", self.world.uses), ("key", self.world.keys)):
            if each in values:
                values[each] = things[-1 - values[each] % len(things)]
        chosen(**values)

    @initialize()
    def begins(self) -> None:
        """Two consumers with a key each, two APIs, two plans, one subscription; nothing of the example before."""

        def found(session: Session) -> None:
            for kind, delete in (
                (Consumer, registry.delete_consumer),
                (Api, registry.delete_api),
                (Plan, registry.delete_plan),
            ):
                for row in session.scalars(select(kind)).all():
                    delete(session, row)
                session.flush()
            self.teams = [factories.team(session).id for _ in range(3)]
            self.world.plans = [self.new_plan(session, approval=approval) for approval in (False, True)]
            self.world.apis = [self.new_api(session) for _ in range(2)]
            self.world.consumers = [self.new_consumer(session, team) for team in self.teams[:2]]
            first = self.world.consumers[0], self.world.apis[0], self.world.plans[0]
            row = registry.subscribe(session, *(row_of(session, each) for each in first), by=None)
            self.new_use(session, row, *first)
            for consumer in self.world.consumers:
                key, token = factories.key(session, row_of(session, consumer))
                self.world.keys.append(model.Key(key.id, key.public_id, token.value, consumer))

        self.does(True, found)

    def new_plan(self, session: Session, *, approval: bool) -> model.Plan:
        row = factories.plan(session, team=session.get_one(Team, self.teams[2]), approval=approval)
        row.per_second = row.per_minute = 100_000
        return model.Plan(row.id, approval)

    def new_api(self, session: Session) -> model.Api:
        row = factories.api(
            session,
            team=session.get_one(Team, self.teams[2]),
            live=True,
            plans=[row_of(session, plan) for plan in self.world.plans],
            openapi=factories.openapi_document(session),
            upstream={"targets": [{"url": f"http://127.0.0.1:{self.house.upstream}"}]},
        )
        return model.Api(row.id, row.draft["path"], list(self.world.plans))

    def new_consumer(self, session: Session, team: int) -> model.Consumer:
        row = factories.consumer(session, team=session.get_one(Team, team))
        return model.Consumer(row.id, row.public_id, team)

    def new_use(
        self, session: Session, row: Subscription, consumer: model.Consumer, api: model.Api, plan: model.Plan
    ) -> Use:
        session.flush()
        use = Use(row.id, consumer, api, plan, row.state.value)
        use.asks = [Ask(ask.id, plan) for ask in row.approvals]
        self.world.uses.append(use)
        return use

    # Time

    @act(often=2, days=st.sampled_from([1, 8, 35]))
    def days_pass(self, days: int) -> None:
        """Everything that was dated moves into the past: nobody has to wait, and no clock is turned."""

        def pass_(session: Session) -> None:
            for kind in (Key, Subscription, Approval):
                dates = [column.key for column in kind.__table__.columns if isinstance(column.type, UTCDateTime)]
                for row in session.scalars(select(kind)):
                    for name in dates:
                        if (instant := getattr(row, name)) is not None:
                            setattr(row, name, instant - timedelta(days=days))
            revision.touch(session)

        self.does(True, pass_)
        self.world.clock += days

    @act()
    def the_worker_comes_by(self) -> None:
        def work(session: Session) -> None:
            registry.end_due(session, now=utcnow())
            registry.bury(session, now=utcnow())

        self.does(True, work)
        self.world.end_due()
        self.world.bury()


def at(days: float | None) -> datetime | None:
    return None if days is None else utcnow() + timedelta(days=days)


def is_to_come(days: float | None) -> bool:
    return days is None or days > 0


def row_of(session: Session, thing: Any) -> Any:
    """The registry's row of what the model has."""
    kinds = {
        model.Plan: Plan,
        model.Api: Api,
        model.Consumer: Consumer,
        model.Use: Subscription,
        model.Key: Key,
        model.Ask: Approval,
    }
    return session.get_one(kinds[type(thing)], thing.number)


def _json(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found
