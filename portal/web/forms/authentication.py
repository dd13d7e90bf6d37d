"""The part of a document's form that says how callers authenticate."""

from collections.abc import Iterable, Mapping
from typing import Any

from wtforms import RadioField, SelectChoice, SelectField, SelectMultipleField  # type: ignore[attr-defined]
from wtforms.widgets import CheckboxInput, ListWidget

from portal.accounts import Team
from portal.errors import Invalid
from portal.registry.document import Document
from portal.registry.models import Plan
from portal.web.forms import Form, choices, stripped

_NO_PLAN = SelectChoice(value="", label="Choose one")

PLACES = {
    "authentication": "ways",
    "authentication.key": "ways",
    "authentication.basic": "ways",
    "authentication.public": "public_plan",
    "authentication.public.plan": "public_plan",
}


class AuthenticationForm(Form):
    access = RadioField(
        "Who may call",
        choices=choices(
            {"asked": "Subscribed applications, which say who they are", "public": "Everybody, without a key"}
        ),
        default="asked",
    )
    ways = SelectMultipleField(
        "They say it with",
        choices=choices({"key": "A key", "basic": "User name and password (Authorization: Basic)"}),
        default=["key"],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    public_plan = SelectField(
        "Plan of callers without a key",
        default="",
        filters=[stripped],
        validate_choice=False,
        description="Its limits hold for each client address, its quotas for all of them together. It need not be on "
        "offer.",
    )
    has_plans = False

    def choose_plans(self, plans: Iterable[Plan], stored: Mapping[str, Any]) -> None:
        """Of the API's team, and the one that the stored draft names even if it is gone."""
        labels = {plan.slug: plan.name for plan in plans}
        named = ((stored.get("authentication") or {}).get("public") or {}).get("plan")
        if named and named not in labels:
            labels[named] = f"{named} (gone)"
        self._offer_plans(labels)

    def choose_plans_of(self, teams: Mapping[Team, Iterable[Plan]]) -> None:
        """Of all teams that may be chosen, by `<team>/<slug>`."""
        several = len(teams) > 1
        self._offer_plans(
            {
                f"{team.slug}/{plan.slug}": plan.name + (f", of {team.name}" if several else "")
                for team, plans in teams.items()
                for plan in plans
            }
        )

    def _offer_plans(self, labels: Mapping[str, str]) -> None:
        self.public_plan.choices = [_NO_PLAN, *choices(labels)]
        self.has_plans = bool(labels)

    def authentication(self) -> dict[str, Any]:
        """As the document has it."""
        if self.access.data == "public":
            return {"public": {"plan": (self.public_plan.data or "").rpartition("/")[2]}}
        chosen = self.ways.data or ()
        return {"key": "key" in chosen, "basic": "basic" in chosen}

    def require_plan_of(self, team: str) -> None:
        """Raises Invalid for a plan of another team than the one that was chosen."""
        owner, _, plan = (self.public_plan.data or "").rpartition("/")
        if self.access.data == "public" and plan and owner != team:
            raise Invalid({"public_plan": f"{plan} belongs to another team than the API. Choose one of its own team."})


def filled(document: Document) -> dict[str, Any]:
    """The fields of a document."""
    wanted = document.authentication
    return {
        "access": "asked" if wanted.public is None else "public",
        # Who takes the choice back finds what is usual.
        "ways": [way for way in ("key", "basic") if getattr(wanted, way)] or ["key"],
        "public_plan": wanted.public.plan if wanted.public else "",
    }
