"""What people are told of: one line an event, with who of a team hears of it and whether a mail comes unasked."""

from dataclasses import dataclass

from portal.accounts.models import Role


@dataclass(frozen=True, slots=True)
class Event:
    """`title` is all that a person hears whose address nobody has confirmed, and begins a sentence."""

    word: str
    title: str
    heard_from: Role = Role.DEVELOPER
    """The least that one must be in a team to hear what is told to the team."""
    mailed_from: Role = Role.OWNER
    """The least that one must be to get a mail without having asked for it."""
    must: bool = False
    """It is mailed to everybody who hears of it, and cannot be switched off."""


EVENTS: dict[str, Event] = {
    event.word: event
    for event in (
        Event("subscription.requested", "A subscription waits for a decision", Role.PUBLISHER, Role.PUBLISHER),
        Event("subscription.approved", "A subscription was approved", mailed_from=Role.DEVELOPER),
        Event("subscription.rejected", "A subscription was rejected", mailed_from=Role.DEVELOPER),
        Event("subscription.changed", "A subscription was changed", mailed_from=Role.DEVELOPER),
        Event("subscription.suspended", "A subscription was suspended", mailed_from=Role.DEVELOPER),
        Event("subscription.resumed", "A subscription goes on", mailed_from=Role.DEVELOPER),
        Event("subscription.ending", "A subscription is about to end", mailed_from=Role.DEVELOPER),
        Event("subscription.ended", "A subscription has ended", mailed_from=Role.DEVELOPER),
        Event("subscription.carried", "You may call a new version of an API"),
        Event("consumer.suspended", "A consumer was suspended", mailed_from=Role.DEVELOPER),
        Event("consumer.resumed", "A consumer goes on", mailed_from=Role.DEVELOPER),
        Event("consumer.moved", "A consumer belongs to another team", mailed_from=Role.DEVELOPER),
        Event("subscriber.moved", "A consumer that uses your API belongs to another team", Role.PUBLISHER),
        Event("quota.warned", "A quota is nearly used up"),
        Event("quota.used_up", "A quota is used up", mailed_from=Role.DEVELOPER),
        Event("plan.changed", "The limits of a plan have changed"),
        Event("key.expiring", "A key is about to expire", mailed_from=Role.DEVELOPER),
        Event("key.revoked", "A key was revoked"),
        Event("key.rotated", "A key has a successor"),
        Event("key.leaked", "A key was made public and is revoked", mailed_from=Role.DEVELOPER, must=True),
        Event("api.deprecated", "An API that you use is deprecated"),
        Event("api.continued", "An API that you use goes on after all"),
        Event("api.broken", "An API that you use has changed in a way that breaks calls", mailed_from=Role.DEVELOPER),
        Event("api.retired", "An API that you use is retired"),
        Event("api.deleted", "An API that you use was deleted"),
        Event("channel.failing", "A channel of your team takes no messages", Role.OWNER),
    )
}
