"""Keys: issued with restrictions, changed, rotated and revoked."""

from typing import Any

from hypothesis import strategies as st
from sqlalchemy.orm import Session

from portal import registry
from portal.registry import Restrictions
from tests.gateway.rights.machine import EITHER, EXPIRIES, STAYS, YOUNG, Machine, act, at, is_to_come, row_of
from tests.gateway.rights.model import Api, Consumer, Key, Use, earliest

LESS = st.sampled_from(["nothing", "nothing", "reads", "afar", "chosen", "described"])
OPERATION = ("GET", "/pets/{id}")


class Keys(Machine):
    @act(often=4, consumer=EITHER, expires=EXPIRIES, less=LESS, use=YOUNG, api=EITHER)
    def is_issued(self, consumer: int, expires: float | None, less: str, use: Use, api: int) -> None:
        who, what = self.world.consumers[consumer], self.world.apis[api]
        allowed = is_to_come(expires) and self.can_be(who, less, use, what)

        def verb(session: Session) -> Any:
            wanted = restrictions(less, use, what)
            row, token = registry.issue(
                session, row_of(session, who), by=None, expires_at=at(expires), restrictions=wanted
            )
            session.flush()
            return row.id, row.public_id, token.value

        made = self.does(allowed, verb)
        if not allowed:
            return
        key = Key(*made, who, self.moment(expires), **less_of(less, use, what))
        self.world.keys.append(key)

    def can_be(self, consumer: Consumer, less: str, use: Use, api: Api, key: Key | None = None) -> bool:
        """Whether such a restriction can be chosen; what `key` has may stay."""
        if less == "chosen":
            goes_on = use.consumer is consumer and not use.is_over and not use.gone
            return goes_on or (key is not None and use in key.chosen)
        if less == "described":
            return (key is not None and api in key.described) or (
                api.live and self.world.current(consumer, api) is not None
            )
        return True

    @act(often=2, key=YOUNG, less=LESS, use=YOUNG, api=EITHER)
    def is_restricted(self, key: Key, less: str, use: Use, api: int) -> None:
        if key.gone:
            return
        what = self.world.apis[api]
        wanted = {"reads_only": False, "from_afar": False, "chosen": (), "described": ()} | less_of(less, use, what)
        same = all(getattr(key, name) == value for name, value in wanted.items())
        allowed = self.can_be(key.consumer, less, use, what, key) and (same or key.revoked is None)
        self.does(allowed, lambda s: registry.restrict(s, row_of(s, key), restrictions(less, use, what)))
        if allowed:
            for name, value in wanted.items():
                setattr(key, name, value)

    @act(key=YOUNG, expires=EXPIRIES)
    def another_expiry_is_chosen(self, key: Key, expires: float | None) -> None:
        if key.gone:
            return
        same = expires is None and key.expires is None
        allowed = same or (key.revoked is None and is_to_come(expires))
        self.does(allowed, lambda s: registry.change_key(s, row_of(s, key), label="Another", expires_at=at(expires)))
        if allowed and not same:
            key.expires = key.unrotated = self.moment(expires)

    @act(often=4, key=YOUNG, stays=STAYS, expires=EXPIRIES)
    def is_rotated(self, key: Key, stays: float | None, expires: float | None) -> None:
        """At once where it does not stay."""
        if key.gone:
            return
        allowed = (
            key.revoked is None and self.world.successor(key) is None and is_to_come(stays) and is_to_come(expires)
        )

        def verb(session: Session) -> Any:
            row, token = registry.rotate(
                session, row_of(session, key), by=None, stays_until=at(stays), expires_at=at(expires)
            )
            session.flush()
            return row.id, row.public_id, token.value

        made = self.does(allowed, verb)
        if not allowed:
            return
        rights = {name: getattr(key, name) for name in ("reads_only", "from_afar", "chosen", "described")}
        successor = Key(*made, key.consumer, self.moment(expires), before=key, **rights)
        self.world.keys.append(successor)
        if stays is None:
            self.world.revoke(key)
        else:
            key.unrotated, key.expires = key.expires, earliest(key.expires, self.moment(stays))

    @act(often=2, key=YOUNG, leaked=st.booleans())
    def is_revoked(self, key: Key, leaked: bool) -> None:
        if key.gone:
            return
        self.does(True, lambda s: registry.revoke(s, row_of(s, key), leaked=leaked))
        self.world.revoke(key)


def restrictions(less: str, use: Use, api: Api) -> Restrictions:
    return Restrictions(
        read_only=less == "reads",
        addresses=("192.0.2.0/24", "2001:db8::/32") if less == "afar" else (),
        subscriptions=frozenset({use.number} if less == "chosen" else ()),
        operations=frozenset({(api.number, *OPERATION)} if less == "described" else ()),
    )


def less_of(less: str, use: Use, api: Api) -> dict[str, Any]:
    """The same in the model's words."""
    return {
        "nothing": {},
        "reads": {"reads_only": True},
        "afar": {"from_afar": True},
        "chosen": {"chosen": (use,)},
        "described": {"described": (api,)},
    }[less]
