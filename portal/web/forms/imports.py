"""The forms of an import: where the document comes from, and what is made of it."""

from collections.abc import Iterable
from typing import Any

from flask import request
from wtforms import (  # type: ignore[attr-defined]  # newer than its stubs
    FileField,
    HiddenField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.widgets import HiddenInput

from portal.accounts import Team
from portal.errors import Invalid
from portal.registry import Document, read_document
from portal.registry.document import SLUG, VERSION
from portal.registry.merging import Meeting
from portal.registry.models import ImportSource
from portal.registry.proposals import Proposal
from portal.web.forms import Form, choices, one_line, slug_from, stripped
from portal.web.forms.apis import unix_lines

ACCEPTED = ".json,.yaml,.yml,.txt,application/json,application/yaml"


class SourceForm(Form):
    """One of three: a file, an address, a text. `brought` says which."""

    conflict_at = "file"

    file = FileField("File", description="JSON or YAML: OpenAPI 3.0, 3.1 or 3.2, or Swagger 2.0.")
    address = StringField(
        "Address",
        filters=[stripped],
        description="Where the document can be fetched without signing in, such as https://example.com/openapi.json.",
    )
    text = TextAreaField("Text", description="The document itself.")

    def offer(self, address: str) -> None:
        """Stands in its field from the start, and gives way to what is brought otherwise: nobody has typed it."""
        ways = self._ways()
        if request.method == "GET":
            self.address.data = address
        elif self.address.data == address and (ways["file"] or ways["text"]):
            self.address.data = ""

    def brought(self, most: int) -> tuple[ImportSource, str, bytes]:
        """Which way, its name, and the bytes; none yet of an address. `most` bytes may come. Raises Invalid."""
        sent = request.files.get("file")
        ways = self._ways()
        chosen = [name for name, is_there in ways.items() if is_there]
        if not chosen:
            raise Invalid({"file": "Choose a file, give an address, or paste the document."})
        if len(chosen) > 1:
            raise Invalid({chosen[-1]: "Bring one document at a time: clear this, or the other field above."})
        match chosen[0]:
            case "address":
                return ImportSource.ADDRESS, self.address.data or "", b""
            case "text":
                data = (self.text.data or "").encode(errors="surrogatepass")
                _require_size(data, most, "text")
                return ImportSource.PASTE, "", data
        assert sent is not None
        data = sent.stream.read()
        _require_size(data, most, "file")
        return ImportSource.FILE, (sent.filename or "")[:200], data

    def _ways(self) -> dict[str, bool]:
        sent = request.files.get("file")
        return {
            "file": bool(sent and sent.filename),
            "address": bool(self.address.data),
            "text": bool((self.text.data or "").strip()),
        }

    def place_of_document(self) -> str:
        """The field that what is wrong with the document is said beside."""
        return "address" if self.address.data else "text" if (self.text.data or "").strip() else "file"


class NewSourceForm(SourceForm):
    team = SelectField("Team", description="Owns the API. Its publishers and owners may change it.")

    def choose_among(self, teams: Iterable[Team]) -> None:
        self.team.choices = choices({team.slug: team.name for team in teams})


class ImportedAPIForm(Form):
    """A new API as its document proposes it."""

    conflict_at = "slug"
    places = {
        "upstream": "target",
        "upstream.targets": "target",
        "upstream.targets.0.url": "target",
        "key": "key_name",
        "key.name": "key_name",
        "key.place": "key_place",
    }

    name = one_line("Name", 80, needed="Give it a name.", description="What developers see, in any alphabet.")
    slug = StringField("Slug", filters=[stripped], description="Its name in addresses.")
    version = StringField("Version", filters=[stripped], description="A new one stands beside the old.")
    description = TextAreaField("Description", filters=[unix_lines], description="What it is for.")
    target = StringField("Target", filters=[stripped], description="The service that answers.")
    path = StringField("Path", filters=[stripped], description="Where the gateway serves it.")
    key_place = SelectField(
        "Callers put their key in",
        choices=choices(
            {
                "header": "a header",
                "bearer": "Authorization: Bearer",
                "query": "a query parameter",
                "basic": "no key, but user name and password (Authorization: Basic)",
            }
        ),
    )
    key_name = one_line("Its name", 64, description="Header or query parameter. Bearer needs none.")
    tags = StringField("Tags", filters=[stripped], description="Words to find it by, separated by commas.")

    def fill(self, proposal: Proposal) -> None:
        self.name.data = proposal.name
        self.slug.data, self.version.data = proposal.slug, proposal.version
        self.description.data = proposal.description
        self.target.data = next(iter(proposal.targets), "")
        self.path.data = f"/{proposal.slug}/{proposal.version}" if proposal.slug else ""
        self.key_place.data = proposal.key.place if proposal.key else "basic" if proposal.basic else "header"
        is_named = proposal.key is not None and proposal.key.place != "bearer"
        self.key_name.data = proposal.key.name if proposal.key and is_named else "X-API-Key"
        self.tags.data = ", ".join(proposal.tags)

    def document(self, digest: str) -> Document:
        """What was typed, with the slug and the path that were left empty filled in. Raises Invalid for all fields."""
        wrong = {}
        try:
            if not SLUG.fullmatch(slug_from(self.slug, self.name)):
                wrong["slug"] = "Use small letters, digits and dashes, such as orders."
        except Invalid as error:
            wrong |= error.fields
        if not VERSION.fullmatch(self.version.data or ""):
            wrong["version"] = "Use small letters, digits, dots and dashes, such as v1."
        if not self.target.data:
            wrong["target"] = "Give the address that calls are sent to."
        usual = "/x" if {"slug", "version"} & wrong.keys() else f"/{self.slug.data}/{self.version.data}"
        values: dict[str, Any] = {
            "name": self.name.data,
            "description": self.description.data,
            "path": self.path.data or usual,
            "upstream": {"targets": [{"url": self.target.data or "http://x"}]},
            **self._authentication(),
            "tags": [tag for word in (self.tags.data or "").split(",") if (tag := word.strip())],
            "openapi": digest,
        }
        try:
            document = read_document(values, typed=True)
        except Invalid as error:
            found = {("tags" if name.startswith("tags") else name): said for name, said in error.fields.items()}
            raise Invalid(found | wrong) from None
        if wrong:
            raise Invalid(wrong)
        return document

    def _authentication(self) -> dict[str, Any]:
        if self.key_place.data == "basic":
            return {"authentication": {"key": False, "basic": True}}
        return {"key": {"place": self.key_place.data, "name": self.key_name.data or "X-API-Key"}}


class MergeForm(Form):
    """For each field about which draft and document do not agree: whose word stays. See `with_choices`."""

    number = HiddenField()
    note = TextAreaField("Note", filters=[stripped], description="What is new, for those who read the list later.")
    decided: tuple[Meeting, ...] = ()

    def chosen(self) -> list[str]:
        """The fields that shall be as the new document has them."""
        return [each.field for each in self.decided if self[f"take_{each.field}"].data == "theirs"]


def with_choices(decided: Iterable[Meeting], draft_number: int) -> Any:
    """A `MergeForm` with a choice for each of these, filled with what happens unless somebody decides otherwise."""
    found = tuple(decided)
    attributes: dict[str, Any] = {"decided": found}
    for each in found:
        attributes[f"take_{each.field}"] = RadioField(
            each.label,
            choices=[
                SelectChoice(value="mine", label="Keep what the draft says"),
                SelectChoice(value="theirs", label="Take what the document says"),
            ],
            default="theirs" if each.takes_theirs else "mine",
        )
    form = type("MergeForm", (MergeForm,), attributes)()
    if request.method == "GET":
        form.number.data = str(draft_number)
    form.number.widget = HiddenInput()
    return form


def _require_size(data: bytes, most: int, field: str) -> None:
    if len(data) > most:
        raise Invalid({field: f"It has more than {most / 1e6:,.0f} MB, which is the most here. Bring a smaller one."})
