"""What the registry promises about calls, said once more without a database: who is let through, who is told why not.

Times are days since the beginning of an example. The rules here are those of the README, not those of the code: where
both differ, one of them is wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

TOMBSTONE = 30.0
"""Days that a dead key is told from an unknown one."""


@dataclass(eq=False)
class Plan:
    number: int
    approval: bool
    gone: bool = False

    def __repr__(self) -> str:
        return f"plan {self.number}"


@dataclass(eq=False)
class Api:
    number: int
    path: str
    plans: list[Plan]
    live: bool = True
    paused: bool = False
    deprecated: bool = False
    retired: bool = False
    closed: bool = False
    gone: bool = False

    def __repr__(self) -> str:
        return f"API {self.number}"

    @property
    def is_dead(self) -> bool:
        """Nobody can call it, so nobody is subscribed or approved."""
        return not self.live or self.retired

    def unpublish(self) -> None:
        self.live = self.paused = self.deprecated = self.retired = self.closed = False


@dataclass(eq=False)
class Consumer:
    number: int
    public_id: str
    team: int
    suspended: bool = False
    gone: bool = False

    def __repr__(self) -> str:
        return f"consumer {self.number}"


@dataclass(eq=False)
class Ask:
    number: int
    plan: Plan
    waits: bool = True


@dataclass(eq=False)
class Use:
    """A subscription."""

    number: int
    consumer: Consumer
    api: Api
    plan: Plan
    state: str
    own: float | None = None
    """When its consumer's team wants it to end."""
    until: float | None = None
    """How long the API's team lets it go on."""
    notice: float | None = None
    """When it ends for want of calls, as long as that stands."""
    asks: list[Ask] = field(default_factory=list)
    gone: bool = False

    def __repr__(self) -> str:
        return f"subscription {self.number}"

    @property
    def is_over(self) -> bool:
        return self.state in {"ended", "rejected"}

    @property
    def has_begun(self) -> bool:
        return not self.is_over and self.state != "pending"

    @property
    def ends(self) -> float | None:
        return earliest(self.own, self.until, self.notice)

    @property
    def waiting(self) -> Ask | None:
        return next((ask for ask in self.asks if ask.waits), None)

    def agree(self, until: float | None) -> None:
        """The API's team lets it go on until then: an earlier end of its own stays, a notice is over."""
        self.notice, self.until = None, until
        if self.own is not None and until is not None and self.own >= until:
            self.own = None

    def let_go(self, state: str) -> None:
        """Nothing is asked for any more, and it is over."""
        self.state = state
        for ask in self.asks:
            ask.waits = False


@dataclass(eq=False)
class Key:
    number: int
    public_id: str
    token: str = field(repr=False)
    consumer: Consumer = field(repr=False)
    expires: float | None = None
    reads_only: bool = False
    from_afar: bool = False
    """Only from addresses that nobody here has."""
    chosen: tuple[Use, ...] = ()
    described: tuple[Api, ...] = ()
    """Where it may do nothing but the one operation."""
    before: "Key | None" = None
    """The key that it came after by rotation."""
    unrotated: float | None = None
    """When it would have expired without a successor."""
    revoked: float | None = None
    gone: bool = False

    def __repr__(self) -> str:
        return f"key {self.number}"


@dataclass
class World:
    clock: float = 0.0
    plans: list[Plan] = field(default_factory=list)
    apis: list[Api] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)

    def has_come(self, moment: float | None) -> bool:
        return moment is not None and moment <= self.clock

    def current(self, consumer: Consumer, api: Api) -> Use | None:
        """The subscription that is not over, though its time may have come."""
        for use in self.uses:
            if use.consumer is consumer and use.api is api and not use.is_over and not use.gone:
                return use
        return None

    def in_the_way(self, consumer: Consumer, api: Api) -> Use | None:
        """What keeps a consumer from subscribing: one at a time."""
        use = self.current(consumer, api)
        return None if use is None or self.has_come(use.ends) else use

    def make_room(self, consumer: Consumer, api: Api) -> None:
        """One whose time has come ends before the next begins, if the worker has not ended it before."""
        if (use := self.current(consumer, api)) is not None:
            use.let_go("ended")

    def may_choose(self, api: Api, plan: Plan) -> bool:
        return not plan.gone and plan in api.plans

    def successor(self, key: Key) -> Key | None:
        """The living one: a key has one at a time."""
        return next((each for each in self.keys if each.before is key and each.revoked is None and not each.gone), None)

    def is_alive(self, key: Key) -> bool:
        return not key.gone and key.revoked is None and not self.has_come(key.expires)

    def revoke(self, key: Key) -> None:
        """Revoking a successor undoes its rotation, where the key before it still works."""
        if key.revoked is not None:
            return
        key.revoked = self.clock
        before = key.before
        if before is not None and self.successor(key) is None and self.is_alive(before):
            before.expires = before.unrotated

    def bury(self) -> None:
        for key in self.keys:
            died = earliest(key.revoked, key.expires)
            key.gone = key.gone or (died is not None and died < self.clock - TOMBSTONE)

    def end_due(self) -> None:
        for use in self.uses:
            if not use.is_over and self.has_come(use.ends):
                use.let_go("ended")

    def forget_consumer(self, consumer: Consumer) -> None:
        consumer.gone = True
        for thing in (*self.uses, *self.keys):
            thing.gone = thing.gone or thing.consumer is consumer

    def forget_api(self, api: Api) -> None:
        api.unpublish()
        api.gone = True
        for use in self.uses:
            use.gone = use.gone or use.api is api

    def is_in_use(self, plan: Plan) -> bool:
        """Whether anybody has, had, asks or has asked for it."""
        return any(use.plan is plan or any(ask.plan is plan for ask in use.asks) for use in self.uses if not use.gone)

    def verdict(self, key: Key, api: Api, *, writes: bool) -> tuple[int, str]:
        """Status and reason word of a call that reads by the described operation, or that writes."""
        use = self.current(key.consumer, api)
        for refused, status, reason in self._refusals(key, api, use, writes):
            if refused:
                return status, reason
        return 200, "ok"

    def _refusals(self, key: Key, api: Api, use: Use | None, writes: bool) -> Iterator[tuple[bool, int, str]]:
        yield not api.live, 404, "no_such_api"
        yield api.retired, 410, "api_retired"
        yield api.paused, 503, "api_paused"
        yield key.gone, 401, "key_unknown"
        yield key.revoked is not None, 401, "key_revoked"
        yield self.has_come(key.expires), 401, "key_expired"
        yield key.consumer.suspended, 403, "consumer_suspended"
        yield use is None or self.has_come(use.ends), 403, "not_subscribed"
        assert use is not None
        yield use.state == "suspended", 403, "subscription_suspended"
        yield use.state == "pending", 403, "subscription_pending"
        yield bool(key.chosen) and use not in key.chosen, 403, "key_not_allowed"
        yield key.from_afar, 403, "address_not_allowed"
        yield writes and (key.reads_only or api in key.described), 403, "key_not_allowed"


def earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)
