"""The form of an API's document, and what it says as a document."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Self

from flask import request
from wtforms import (  # type: ignore[attr-defined]  # newer than its stubs
    BooleanField,
    Field,
    HiddenField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)

from portal.accounts import Team
from portal.errors import Invalid
from portal.registry import Document, read_document
from portal.registry.document import SLUG, VERSION
from portal.registry.models import Category, SecretKind, UpstreamSecret
from portal.web.forms import Form, NumberField, choices, one_line, slug_from, squeeze, stripped
from portal.web.forms.access import AccessFields, access_of, in_one_field
from portal.web.forms.secrets import KINDS

MOST_TARGETS = 50
_ROW = re.compile(r"target_(\d{1,3})_url")
_WITHOUT_FIELD = ("openapi",)
_IN_SECONDS = ("connect_timeout", "first_byte_timeout", "idle_timeout")


_NO_SECRET = SelectChoice(value="", label="none")


def _with_kind(secret: UpstreamSecret) -> str:
    return f"{secret.name} ({KINDS[secret.kind].lower()})"


def unix_lines(text: str | None) -> str:
    return stripped(text).replace("\r\n", "\n")


class DocumentForm(AccessFields):
    """Everything but the targets, whose rows `with_targets` adds. `number` is the draft that it was filled from."""

    places = {
        "upstream": "target_0_url",
        "upstream.targets": "target_0_url",
        "upstream.tls_verify": "tls_verify",
        "upstream.ca_pem": "ca_pem",
        "upstream.retries": "retries",
        "upstream.credential": "credential_header",
        "upstream.credential.header": "credential_header",
        "upstream.credential.secret": "credential",
        **{f"upstream.{name}_ms": name for name in _IN_SECONDS},
        "key": "key_name",
        "key.name": "key_name",
        "key.place": "key_place",
        "body_limit_bytes": "body_limit",
        **AccessFields.access_places,
    }
    rows = 1
    kinds: Mapping[str, str] = {}
    """Secret that may be chosen -> its kind."""
    usual_path: str | None = None
    """Where an API is served that gives neither path nor host."""
    kept: Mapping[str, Any] = {}
    """Of the stored document, what this form has no field for."""

    number = HiddenField()
    name = one_line("Name", 80, needed="Give it a name.", description="What developers see, in any alphabet.")
    description = TextAreaField("Description", filters=[unix_lines], description="What it is for.")
    tags = StringField(
        "Tags",
        filters=[stripped],
        description="Words to find it by in the catalogue, separated by commas, such as payments, refunds.",
    )
    tls_verify = BooleanField("Verify the target's TLS certificate", default=True)
    ca_pem = TextAreaField(
        "Own certificate authority",
        filters=[unix_lines],
        description="Certificates in PEM form, when the targets' are signed by nobody that the system knows.",
    )
    connect_timeout = NumberField("Connect timeout", needed=True, default=Decimal(5))
    first_byte_timeout = NumberField(
        "First byte timeout",
        needed=True,
        default=Decimal(30),
        description="How long the target may think before it begins to answer.",
    )
    idle_timeout = NumberField(
        "Idle timeout", needed=True, default=Decimal(300), description="How long a stream may be silent."
    )
    retries = NumberField(
        "Retries",
        whole=True,
        needed=True,
        default=1,
        description="After a failed connection, for methods that may be repeated.",
    )
    path = StringField("Path", filters=[stripped])
    host = StringField(
        "Host",
        filters=[stripped],
        description="A host name of its own, such as orders.example.com.",
    )
    key_place = SelectField(
        "Callers put their key in",
        choices=choices({"header": "a header", "bearer": "Authorization: Bearer", "query": "a query parameter"}),
    )
    key_name = one_line(
        "Its name", 64, default="X-API-Key", description="Header or query parameter. Bearer needs none."
    )
    body_limit = NumberField(
        "Body limit", needed=True, default=Decimal(10), description="Larger requests are answered with 413 too_large."
    )

    credential = SelectField(
        "Secret",
        default="",
        filters=[stripped],
        description="What the gateway shows to the targets, whatever a client sends.",
    )
    credential_header = one_line(
        "Header", 64, description="Which one carries it, such as X-Api-Token; only for secrets of the kind Header."
    )

    def offer(self, secrets: Iterable[UpstreamSecret], stored: Mapping[str, Any]) -> Self:
        """The secrets to choose from, and the one that the stored draft names even if it is gone."""
        kept = list(secrets)
        self.kinds = {secret.name: secret.kind.value for secret in kept}
        offered = [_NO_SECRET, *(SelectChoice(value=secret.name, label=_with_kind(secret)) for secret in kept)]
        named = stored["upstream"].get("credential")
        if named and named["secret"] not in self.kinds:
            self.kinds[named["secret"]] = named["kind"]
            offered.append(SelectChoice(value=named["secret"], label=f"{named['secret']} (gone)"))
        self.credential.choices = offered
        return self

    @property
    def targets(self) -> list[tuple[Field, Field]]:
        """Address and weight of each row."""
        return [(self[f"target_{row}_url"], self[f"target_{row}_weight"]) for row in range(self.rows)]

    @property
    def served_at(self) -> str | None:
        """The path that was typed, or the usual one."""
        return self.path.data or (None if self.host.data else self.usual_path)

    def document(self) -> Document:
        """Of a form that is not well-formed too, to learn what else is wrong with it. Raises Invalid."""
        kept = [(row, url.data, weight.data) for row, (url, weight) in enumerate(self.targets) if url.data]
        values = dict(self.kept) | {
            "name": self.name.data,
            "description": self.description.data,
            "tags": [tag for tag in map(squeeze, (self.tags.data or "").split(",")) if tag],
            "path": self.served_at,
            "host": self.host.data or None,
            "upstream": {
                "targets": [{"url": url, "weight": 1 if weight is None else weight} for _, url, weight in kept],
                "tls_verify": self.tls_verify.data,
                "ca_pem": self.ca_pem.data or None,
                "retries": self.retries.data,
                **{f"{name}_ms": int(_or_usual(self[name]) * 1000) for name in _IN_SECONDS},
                "credential": self._credential(),
            },
            "key": {"place": self.key_place.data, "name": self.key_name.data or "X-API-Key"},
            "body_limit_bytes": int(_or_usual(self.body_limit) * 1_000_000),
            **self.access(),
        }
        try:
            return read_document(values, typed=True)
        except Invalid as error:
            raise Invalid(dict(_in_our_units(in_one_field(error.fields), [row for row, _, _ in kept]))) from None

    def _credential(self) -> dict[str, Any] | None:
        kind = self.kinds.get(self.credential.data or "")
        if kind is None:
            return None
        header = (self.credential_header.data or None) if kind == SecretKind.HEADER else None
        return {"kind": kind, "secret": self.credential.data.rpartition("/")[2], "header": header}


class NewAPIForm(DocumentForm):
    """Its secrets are those of all teams that may be chosen, by `<team>/<name>`."""

    conflict_at = "slug"

    team = SelectField("Team", description="Owns the API. Its publishers and owners may change it.")
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses. Left empty, it is made from the name.",
    )
    version = StringField(
        "Version",
        default="v1",
        filters=[stripped],
        description="A new one stands beside the old.",
    )

    def choose_among(self, teams: Mapping[Team, Iterable[UpstreamSecret]]) -> None:
        """Teams that may own the API, and the secrets of each."""
        self.team.choices = choices({team.slug: team.name for team in teams})
        kept = [(team, secret) for team, secrets in teams.items() for secret in secrets]
        self.kinds = {f"{team.slug}/{secret.name}": secret.kind.value for team, secret in kept}
        several = len(teams) > 1
        self.credential.choices = [
            _NO_SECRET,
            *(
                SelectChoice(
                    value=f"{team.slug}/{secret.name}",
                    label=_with_kind(secret) + (f", of {team.name}" if several else ""),
                )
                for team, secret in kept
            ),
        ]

    def document(self) -> Document:
        """Fills in the slug and the path that were left empty. Raises Invalid for all fields at once."""
        wrong = {}
        try:
            if not SLUG.fullmatch(slug_from(self.slug, self.name)):
                wrong["slug"] = "Use small letters, digits and dashes, such as orders."
        except Invalid as error:
            wrong |= error.fields
        if not VERSION.fullmatch(self.version.data or ""):
            wrong["version"] = "Use small letters, digits, dots and dashes, such as v1."
        owner, _, secret = (self.credential.data or "").partition("/")
        if secret and owner != self.team.data:
            wrong["credential"] = f"{secret} belongs to another team than the API. Choose one of its own team, or none."
        self.usual_path = "/x" if {"slug", "version"} & wrong.keys() else f"/{self.slug.data}/{self.version.data}"
        try:
            document = super().document()
        except Invalid as error:
            raise Invalid(error.fields | wrong) from None
        if wrong:
            raise Invalid(wrong)
        return document


class CategoryForm(Form):
    category = SelectField("Category", description="Administrators put up the categories.")

    def offer(self, categories: Iterable[Category]) -> None:
        self.category.choices = choices({"": "none", **{each.slug: each.name for each in categories}})


class PublishForm(Form):
    conflict_at = "note"

    number = HiddenField()
    live = HiddenField()
    """The number of the live release that was shown beside it, 0 for none."""
    note = TextAreaField(
        "Note",
        filters=[stripped],
        description="What is new, for those who read the list later.",
    )


def with_targets(kind: type[DocumentForm], stored: Mapping[str, Any] | None = None) -> Any:
    """A form of this kind with a row for each target: as many as were sent, or as many as `stored` has.

    The buttons "Add target" and "Remove" come as `targets=add` and `targets=<row>`; `was_reshaped` says that it was
    one of them that sent the form.
    """
    sent = request.form if request.method == "POST" else None
    filled = from_document(stored) if stored is not None and sent is None else {}
    press = sent.get("targets", "") if sent is not None else ""
    if sent is not None:
        rows, sent = _reshaped(sent, press)
    else:
        rows = len(stored["upstream"]["targets"]) if stored else 1
    kept = {name: stored[name] for name in _WITHOUT_FIELD if name in stored} if stored else {}
    attributes: dict[str, Any] = {"rows": rows, "was_reshaped": bool(press), "kept": kept}
    for row in range(rows):
        nth = f"Target {row + 1}" if rows > 1 else "Target"
        attributes[f"target_{row}_url"] = StringField(nth, filters=[stripped])
        attributes[f"target_{row}_weight"] = NumberField(f"Weight {row + 1}", whole=True, default=1)
    attributes["places"] = kind.places | {
        f"upstream.targets.{row}.{part}": f"target_{row}_{part}" for row in range(rows) for part in ("url", "weight")
    }
    formdata: dict[str, Any] = {} if sent is None else {"formdata": sent}
    return type(kind.__name__, (kind,), attributes)(data=filled, **formdata)


def from_document(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored document as the form's values."""
    document = read_document(dict(stored))
    upstream = document.upstream
    credential = upstream.credential
    values: dict[str, Any] = {
        "name": document.name,
        "description": document.description,
        "tags": ", ".join(document.tags),
        "path": document.path or "",
        "host": document.host or "",
        "tls_verify": upstream.tls_verify,
        "ca_pem": upstream.ca_pem or "",
        "retries": upstream.retries,
        "key_place": document.key.place,
        "key_name": document.key.name,
        "credential": credential.secret if credential else "",
        "credential_header": (credential.header if credential else None) or "",
        "body_limit": Decimal(document.body_limit_bytes) / 1_000_000,
        **access_of(document),
    }
    for name in _IN_SECONDS:
        values[name] = Decimal(getattr(upstream, f"{name}_ms")) / 1000
    for row, target in enumerate(upstream.targets):
        values |= {f"target_{row}_url": target.url, f"target_{row}_weight": target.weight}
    return values


def _reshaped(sent: Any, press: str) -> tuple[int, Any]:
    """How many rows there are after the button was pressed, and what was sent with its rows in their places."""
    numbers = sorted({int(found[1]) for name in sent if (found := _ROW.fullmatch(name))})[:MOST_TARGETS]
    kept = [number for number in numbers if str(number) != press] or [0]
    moved = sent.copy()
    for name in [name for name in sent if name.startswith("target_")]:
        del moved[name]
    for row, number in enumerate(kept):
        for part in ("url", "weight"):
            if not (press.isdecimal() and len(numbers) == 1):
                moved[f"target_{row}_{part}"] = sent.get(f"target_{number}_{part}", "")
    rows = len(kept)
    if press == "add" and rows < MOST_TARGETS:
        moved[f"target_{rows}_weight"] = "1"
        rows += 1
    return rows, moved


def _or_usual(field: Field) -> Any:
    """What was typed, unless it was no number, which is said beside it."""
    return field.default if field.data is None else field.data


def _in_our_units(fields: Mapping[str, str], rows: list[int]) -> Iterable[tuple[str, str]]:
    """The document counts milliseconds, bytes and only the targets that were given; the form does not."""
    for name, sentence in fields.items():
        if name.startswith("tags."):
            yield "tags", f"One of them is too long. {sentence}"
        elif found := re.fullmatch(r"upstream\.targets\.(\d+)\.(\w+)", name):
            yield f"upstream.targets.{rows[int(found[1])]}.{found[2]}", sentence
        elif name == "upstream.targets" and not rows:
            yield name, "Give the address that calls are sent to."
        elif name.endswith("_timeout_ms"):
            least, most = {"upstream.connect_timeout_ms": (0.1, 60), "upstream.first_byte_timeout_ms": (0.1, 3600)}.get(
                name, (1, 3600)
            )
            yield name, f"Give a time from {least:g} to {most:,} seconds."
        elif name == "body_limit_bytes":
            yield name, "Give a size from 0 to 10,000 MB."
        else:
            yield name, sentence


class OverallLimitForm(Form):
    overall_per_second = NumberField(
        "Calls at most",
        whole=True,
        description="Of all subscriptions together, on each gateway node. Left empty, only the plans limit calls.",
    )
