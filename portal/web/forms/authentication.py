"""The part of a document's form that says how callers authenticate."""

from collections.abc import Iterable, Mapping
from typing import Any

from wtforms import (  # type: ignore[attr-defined]
    BooleanField,
    RadioField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    TextAreaField,
)
from wtforms.widgets import CheckboxInput, ListWidget

from portal.accounts import Team
from portal.errors import Invalid
from portal.registry.document import Document
from portal.registry.jwt import Jwt
from portal.registry.models import Plan
from portal.web.forms import Form, choices, one_line, stripped

_NO_PLAN = SelectChoice(value="", label="Choose one")

PLACES = {
    "authentication": "ways",
    "authentication.key": "ways",
    "authentication.basic": "ways",
    "authentication.public": "public_plan",
    "authentication.public.plan": "public_plan",
    "authentication.jwt": "jwks_url",
    "authentication.jwt.issuer": "jwt_issuer",
    "authentication.jwt.audiences": "jwt_audiences",
    **{f"authentication.jwt.audiences.{number}": "jwt_audiences" for number in range(20)},
    "authentication.jwt.jwks_url": "jwks_url",
    "authentication.jwt.jwks": "jwks",
    "authentication.jwt.claim": "jwt_claim",
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
        choices=choices(
            {
                "key": "A key",
                "basic": "User name and password (Authorization: Basic)",
                "jwt": "A token of an identity provider (Authorization: Bearer, JWT)",
            }
        ),
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
    jwt_issuer = one_line(
        "Issuer", 500, description="What the claim iss of its tokens says, to the letter: https://login.example.com/"
    )
    jwt_audiences = TextAreaField(
        "Audiences",
        filters=[stripped],
        description="What the claim aud may say, one a line. Without any, tokens that the issuer made for other "
        "services are taken here too.",
    )
    jwks_url = one_line(
        "Address of its keys",
        500,
        description="The jwks_uri of the issuer, with https. The portal fetches it every few minutes, and the last "
        "good set stays.",
    )
    jwks = TextAreaField(
        "Or the keys themselves",
        filters=[stripped],
        description="A JWKS with public keys, where the issuer has no address that this machine reaches.",
    )
    jwt_claim = one_line(
        "Claim that says who calls",
        64,
        default="sub",
        description="Such as sub, azp or client_id. A consumer's subscription carries its value, the subject.",
    )
    jwt_forward = BooleanField(
        "Send the token on to the targets",
        description="Otherwise they see who calls in X-Consumer-Id alone.",
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
        asked: dict[str, Any] = {"key": "key" in chosen, "basic": "basic" in chosen}
        if "jwt" in chosen:
            asked["jwt"] = {
                "issuer": self.jwt_issuer.data or "",
                "audiences": [line for line in (self.jwt_audiences.data or "").splitlines() if line.strip()],
                "jwks_url": self.jwks_url.data or None,
                "jwks": self.jwks.data or None,
                "claim": self.jwt_claim.data or "sub",
                "forward": bool(self.jwt_forward.data),
            }
        return asked

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
        "ways": [way for way in ("key", "basic", "jwt") if getattr(wanted, way)] or ["key"],
        "public_plan": wanted.public.plan if wanted.public else "",
        **(_of_tokens(wanted.jwt) if wanted.jwt else {}),
    }


def _of_tokens(jwt: Jwt) -> dict[str, Any]:
    return {
        "jwt_issuer": jwt.issuer,
        "jwt_audiences": "\n".join(jwt.audiences),
        "jwks_url": jwt.jwks_url or "",
        "jwks": jwt.jwks or "",
        "jwt_claim": jwt.claim,
        "jwt_forward": jwt.forward,
    }
