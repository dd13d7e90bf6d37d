"""Operations as one names them on a plan's page: `orders/v1 POST /orders`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from portal import registry
from portal.errors import Invalid
from portal.registry.models import Api, Plan
from portal.registry.operation_limits import NUMBERS, Limited, operation_at
from portal.web.forms.operation_limits import OperationsForm

MOST_SUGGESTED = 1_000
"""Operations in the list that one may choose from; others are typed."""


def name_of(api: Api, plan: Plan) -> str:
    return f"{api.slug}/{api.version}" if api.team_id == plan.team_id else api.label


def stored_rows(plan: Plan, limited: Sequence[Limited]) -> list[dict[str, Any]]:
    """As the form takes them."""
    return [
        {"operation": f"{name_of(each.limit.api, plan)} {each.called}"}
        | {name: getattr(each.limit, name) for name in NUMBERS}
        for each in limited
    ]


def odd_limit(limited: Limited) -> str:
    """What there is to know about a limit beside its numbers, in sentences."""
    said = []
    if limited.operation is None:
        said.append(
            "The live release has no such operation, so this limit does nothing until it comes back. Remove it."
        )
    elif limited.operation.deprecated:
        said.append("The operation is deprecated.")
    if not limited.is_offered:
        said.append("The API offers this plan no more; the limit holds for subscriptions that have it.")
    if limited.is_moot:
        said.append("Without effect: the plan itself allows no more than this.")
    return " ".join(said)


def suggestions(session: Session, plan: Plan) -> tuple[list[tuple[str, str]], bool]:
    """(what to type, summary) of the operations of the APIs that offer the plan, and whether these are all."""
    found: list[tuple[str, str]] = []
    for api in plan.apis:
        rows = registry.operations_of(session, [api], most=MOST_SUGGESTED + 1 - len(found)).get(api.id, [])
        found += [(f"{name_of(api, plan)} {method} {path}", summary) for method, path, summary in rows]
        if len(found) > MOST_SUGGESTED:
            return found[:MOST_SUGGESTED], False
    return found, True


def read(session: Session, plan: Plan, form: OperationsForm) -> list[registry.OperationLimit]:
    """What the rows say. Raises Invalid with the names of the form's rows."""
    apis = {name_of(api, plan): api for api in (*(row.api for row in plan.operations), *plan.apis)}
    found, wrong = [], {}
    for n, text, numbers in form.typed:
        try:
            api, operation = _operation(session, plan, apis, text)
        except Invalid as error:
            wrong[f"operations.{n}.operation"] = str(error)
        else:
            found.append(registry.OperationLimit(api=api, operation=operation, **numbers))
    if wrong:
        raise Invalid(wrong)
    return found


def _operation(session: Session, plan: Plan, apis: dict[str, Api], text: str) -> tuple[Api, str]:
    first, _, rest = text.partition(" ")
    if not text:
        raise Invalid({"": "Name the operation, or clear the numbers."})
    if first in apis:
        api, operation = apis[first], rest
    elif len(apis) == 1 and "/" not in first:
        (api,), operation = apis.values(), text
    elif not apis:
        raise Invalid({"": "No API offers this plan yet. Offer it on the plans page of an API first."})
    elif "/" in first and rest:
        raise Invalid({"": f"No API that offers this plan is called {first}. Choose one from the list."})
    else:
        raise Invalid({"": f"Name the API too, such as {next(iter(apis))} {text}."})
    if not operation:
        raise Invalid({"": f"Name an operation of {api.name} {api.version}, such as {first} GET /items."})
    method, _, path = operation.partition(" ")
    if path.startswith("/"):
        known = operation_at(session, api, method.upper(), path)
        operation = known if known is not None else operation
    return api, operation
