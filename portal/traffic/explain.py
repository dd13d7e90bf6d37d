"""Why a call was answered as it was, and what to do now: sentences with names and instants. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

from portal.registry.models import SubscriptionState
from portal.traffic.calls import CallView
from portal.traffic.reasons import OF_OPERATION, OPERATION_LIMITED, REASONS, REFUSED_BY_API


@dataclass(frozen=True, slots=True)
class KnownKey:
    name: str
    expires_at: datetime | None
    revoked_at: datetime | None
    leaked: bool
    may: str
    """What it may do less than its consumer; "" for nothing less."""
    addresses: tuple[str, ...]
    successor: str | None
    """Name of the key that came after it by rotation, where that one is alive."""


@dataclass(frozen=True, slots=True)
class KnownSubscription:
    state: SubscriptionState
    starts_at: datetime
    ends_at: datetime | None
    blocked_until: datetime | None
    plan: str
    limits: str
    """Of the plan as it is now."""
    operation_limit: str = ""
    """What the plan says now of the operation that the call was; "" for nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """As the registry has it now; None where it knows nothing, or nothing that may be told."""

    api: str | None = None
    owner: str | None = None
    """The team that owns the API."""
    paused: bool = False
    retired_at: datetime | None = None
    consumer: str | None = None
    suspended_at: datetime | None = None
    key: KnownKey | None = None
    subscription: KnownSubscription | None = None
    """The call's own, else the newest of the consumer to the API."""
    first_byte_ms: int | None = None
    """How long the release that answered waits for an upstream."""
    connect_ms: int | None = None
    body_limit: int | None = None
    """Bytes."""
    origins: tuple[str, ...] = ()
    """Whose pages may call the API from browsers, by the release that answered."""
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    """Its address lists then; both empty too for who may not know them."""
    issuer: str | None = None
    """Of the tokens that the release takes."""
    audiences: tuple[str, ...] = ()
    claim: str | None = None
    """The one that says who calls."""
    keys_problem: str | None = None
    """Why the keys that tokens are verified with could not be fetched last."""


def explain(call: CallView, known: Known | None = None, *, described: bool = False) -> str:
    """Why the call was answered as it was, in sentences.

    `known` is what the registry has now; it says so where that is no longer what it was at the time of the call.
    `described`: the release that answered has an OpenAPI document, to which a call without an operation is unknown.
    """
    known = known or Known()
    parts = [_answer(call, known), _story(call, known), _advice(call, known)]
    if described and not call.operation and call.reason == "upstream_status" and call.status in (404, 405, 501):
        parts.append(f"The API's OpenAPI document has no operation for {call.method or 'this method'} and this path.")
    return " ".join(part for part in parts if part)


def _answer(call: CallView, known: Known) -> str:
    said = REASONS.get(call.reason, f"The reason is recorded as {call.reason}.")
    took = _took(call.total_us)
    target = call.target or "the upstream"
    match call.reason:
        case "rate_limited" if call.details == OPERATION_LIMITED:
            return OF_OPERATION
        case "upstream_status":
            return f"{said} {_capital(target)} sent {call.status}{took}."
        case "upstream_unreachable":
            tried = f" It was tried {call.attempts} times." if (call.attempts or 0) > 1 else ""
            why = next((f" {words}" for mark, words in _CONNECTION_FAILURES if mark in (call.details or "")), "")
            return f"{said} It would have gone to {target}.{why}{tried}"
        case "upstream_timeout":
            return f"{said} {_capital(target)} had not begun to answer; the gateway answered {call.status}{took}."
        case "upstream_reset":
            return f"{said} It was {target}, which closed{took}."
        case "client_closed":
            answered = f"The status was {call.status}." if call.status else "No answer had begun."
            return f"{said} {answered} It had lasted{took.removeprefix(' after') or ' an unknown time'}."
        case "bad_request" | "bad_path" | "gateway_error" if call.details:
            return f"{said} Envoy notes: {call.details}."
        case _:
            return said


def _story(call: CallView, known: Known) -> str:
    """What the registry adds: which one, since when, how much."""
    match call.reason:
        case "key_expired" | "key_revoked":
            return _of_dead_key(call, known)
        case "key_not_allowed" if known.key is not None:
            return f"{known.key.name} is limited. It {_small(known.key.may)}" if known.key.may else _NO_LONGER
        case "address_not_allowed" if call.details == REFUSED_BY_API:
            return _of_api_lists(call, known)
        case "address_not_allowed" if known.key is not None and call.address:
            if not known.key.addresses:
                return f"The call came from {call.address}. {_NO_LONGER}"
            return f"The call came from {call.address}; {known.key.name} may be used from {_all(known.key.addresses)}."
        case "consumer_suspended" if known.consumer:
            if known.suspended_at is None or known.suspended_at > call.at:
                return f"{known.consumer} was suspended then, and goes on again since."
            return f"{known.consumer} has been suspended since {_on(known.suspended_at)}."
        case "token_unknown" if known.claim:
            return (
                f"The API looks at the claim {known.claim}, and no subscription to it has that of the token as subject."
            )
        case "token_invalid" if known.issuer:
            told = f"The API takes tokens of {known.issuer}"
            return told + (f" for {_all(known.audiences)}." if known.audiences else " for any audience.")
        case "token_expired" | "token_early":
            return "Clocks may differ by 60 seconds."
        case "token_keys_missing" if known.keys_problem:
            return known.keys_problem
        case "not_subscribed":
            return _of_missing_subscription(call, known)
        case "subscription_suspended" | "subscription_pending" if known.subscription is not None:
            now = known.subscription.state.value
            if now != call.reason.removeprefix("subscription_"):
                return f"It is {now} by now."
            return f"That is still so, under the plan {known.subscription.plan}."
        case "quota_exceeded" if known.subscription is not None:
            until = known.subscription.blocked_until
            again = f" It begins anew on {_on(until)}." if until is not None and until > call.at else ""
            return f"The plan is {known.subscription.plan}.{again}"
        case "rate_limited" if known.subscription is not None and call.details == OPERATION_LIMITED:
            return _of_operation(call, known.subscription)
        case "rate_limited" if known.subscription is not None:
            return f"The plan {known.subscription.plan} allows {_small(known.subscription.limits)}."
        case "api_paused" if known.api:
            return f"{known.api} is {'still paused' if known.paused else 'served again by now'}."
        case "api_retired" if known.api and known.retired_at:
            return f"{known.api} was retired on {_on(known.retired_at)}."
        case "api_retired" if known.api:
            return f"{known.api} is served again by now."
        case "upstream_timeout" if known.first_byte_ms:
            return f"The API waits {_seconds(known.first_byte_ms)} for the first byte."
        case "upstream_unreachable" if known.connect_ms and "timeout" in (call.details or ""):
            return f"The API waits {_seconds(known.connect_ms)} for a connection."
        case "too_large" if known.body_limit:
            return f"It allows {known.body_limit:,} bytes."
        case "preflight" if known.origins:
            whose = "every page" if "*" in known.origins else f"pages of {_all(known.origins)}"
            return f"{_capital(known.api or 'the API')} may be called by {whose}."
        case "no_such_api":
            return f"The call went to {call.host or 'an unnamed host'} and {call.path or 'no path'}."
    return ""


_NO_LONGER = "Its limits have been changed since."


def _of_dead_key(call: CallView, known: Known) -> str:
    key = known.key
    if key is None:
        return ""
    whose = f" of {known.consumer}" if known.consumer else ""
    at = key.expires_at if call.reason == "key_expired" else key.revoked_at
    if at is None or at > call.at:
        return f"It was {key.name}{whose}. It has another expiry since."
    verb = "expired" if call.reason == "key_expired" else "was revoked"
    because = ", because it had leaked" if key.leaked and call.reason == "key_revoked" else ""
    successor = f" Its successor is {key.successor}." if key.successor else ""
    return f"It was {key.name}{whose}, and {verb} on {_on(at)}{because}.{successor}"


def _of_operation(call: CallView, subscription: KnownSubscription) -> str:
    called = call.operation or "this operation"
    if not subscription.operation_limit:
        return f"The plan {subscription.plan} limits {called} no more."
    allowed = _small(subscription.operation_limit)
    return f"Of {called} the plan {subscription.plan} allows {allowed}, whatever else it allows."


def _of_missing_subscription(call: CallView, known: Known) -> str:
    if not known.consumer or not known.api:
        return ""
    found: KnownSubscription | None = known.subscription
    who = f"{known.consumer}'s subscription to {known.api}"
    if found is None:
        return f"{known.consumer} has never been subscribed to {known.api}."
    if found.state is SubscriptionState.REJECTED:
        return f"{who} was rejected."
    if found.starts_at > call.at:
        return (
            f"{known.consumer} has been subscribed to {known.api} since {_on(found.starts_at)} only, after this call."
        )
    if found.ends_at is not None and found.ends_at <= call.at:
        return f"{who} ended on {_on(found.ends_at)}."
    return f"{who} is {found.state.value} by now."


def _of_api_lists(call: CallView, known: Known) -> str:
    said = [
        "It is the API that refused it.",
        f"The call came from {call.address}." if call.address else "",
        f"It took calls from {_all(known.allowed)} only." if known.allowed else "",
        f"It denied {_all(known.denied)}." if known.denied else "",
    ]
    return " ".join(each for each in said if each)


def _advice(call: CallView, known: Known) -> str:
    match call.reason:
        case "key_expired" if known.key is not None:
            return f"Choose a later expiry for it, or send {'that one' if known.key.successor else 'another key'}."
        case "key_revoked" if known.key is not None:
            return "Send another key; a revoked one does not come back."
        case "address_not_allowed" if call.details == REFUSED_BY_API:
            if known.allowed or known.denied:
                return "Publish other address lists if such calls are to be let through."
            return f"Ask {known.owner or 'the team that owns the API'} whether this address may call."
        case "preflight":
            return (
                "If the browser made no call afterwards, its page is of another origin, or wanted a method or a header "
                "that the API does not name."
            )
        case "key_not_allowed" | "address_not_allowed" if known.key is not None:
            return "Edit the key if this call is to be let through."
        case "key_missing" | "key_malformed" | "key_unknown":
            return "The docs of the API say where the key goes."
        case "token_missing":
            return "The docs of the API say what to send."
        case "token_expired":
            return "Get a new token from its issuer."
        case "token_invalid":
            return "Look at the token's iss, aud and alg, and whether its issuer still signs with that key."
        case "token_early":
            return "Look at the clock of the issuer, and at the token's nbf."
        case "token_unknown":
            return "Give a subscription that subject, on the page of its consumer."
        case "token_repeated":
            return "Send one header Authorization with one token."
        case "token_keys_missing":
            return "The API's page says why they could not be fetched."
        case "not_subscribed" if known.api:
            return "Subscribe the consumer to it."
        case "rate_limited":
            return "Wait as long as Retry-After says, or choose a plan that allows more."
    return ""


_CONNECTION_FAILURES = (
    ("refused", "The connection was refused: nothing listens there."),
    ("timeout", "The connection was not accepted in time."),
    ("no_healthy_upstream", "No address of it is known or allowed."),
    ("TLS", "TLS could not be agreed on, or the certificate was not believed."),
    ("unreachable", "There is no way to that network or host."),
)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _all(words: tuple[str, ...]) -> str:
    shown = ", ".join(words[:5])
    return shown if len(words) <= 5 else f"{shown} and {len(words) - 5} more"


def _on(moment: datetime) -> str:
    """`3 May 2026 at 10:00 UTC`."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%B %Y} at {moment:%H:%M} UTC"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"


def _took(us: int | None) -> str:
    if us is None:
        return ""
    return f" after {us / 1_000_000:.1f} s" if us >= 1_000_000 else f" after {us / 1_000:.3g} ms"
