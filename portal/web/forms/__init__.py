"""Forms: what people type, and where the sentences about it go."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import g
from flask_wtf import FlaskForm
from wtforms import Field, SelectChoice, StringField, ValidationError  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import DataRequired, Length
from wtforms.widgets import NumberInput

from portal.accounts import slug_of
from portal.errors import Invalid, NameTaken, PathTaken, PortalError

_WITHOUT_NUL = (
    "It held a NUL character, which nothing can store, and which is taken out here. Look at what is left, then send it."
)


def squeeze(text: str | None) -> str:
    """One line without spaces around or doubled."""
    return " ".join(stripped(text).split())


def stripped(text: str | None) -> str:
    """Without spaces around, and without the one character that PostgreSQL stores in no text."""
    return (text or "").replace("\0", "").strip()


def slug_from(slug: Field, name: Field) -> str:
    """What was typed as a slug, else one that follows from the name. Raises Invalid when none does."""
    if not slug.data:
        slug.data = slug_of(name.data)
        if slug.data == "x" and name.data.lower() != "x":
            slug.data = ""
            raise Invalid(
                {"slug": "No slug can be made from this name. Write one in small letters, digits and dashes."}
            )
    return str(slug.data)


def one_line(label: str, longest: int, *, needed: str = "", **more: Any) -> StringField:
    """A line of text. `needed` is the sentence for an empty one; without it the field is optional."""
    rules: list[Any] = [DataRequired(needed)] if needed else []
    rules.append(Length(max=longest, message=f"At most {longest} characters fit here."))
    return StringField(label, filters=[squeeze], validators=rules, **more)


def email_line(needed: str, label: str = "E-mail address") -> StringField:
    """An address, normalised as Flask-Security does it. `needed` is the sentence for an empty one."""
    return StringField(label, filters=[stripped], validators=[DataRequired(needed), _address])


def _address(_form: Any, field: Field) -> None:
    try:
        field.data = validate_email(field.data, check_deliverability=False).normalized
    except EmailNotValidError:
        raise ValidationError("This is not an e-mail address. Write it as name@example.com.") from None


def choices(labels: Mapping[str, str]) -> list[SelectChoice]:
    """What a select offers, by value."""
    return [SelectChoice(value=value, label=label) for value, label in labels.items()]


class NumberField(Field):
    """A number; None when the box is empty. What could not be read is shown again as it was typed."""

    widget = NumberInput()

    def __init__(self, label: str, *, whole: bool = False, needed: bool = False, **more: Any) -> None:
        super().__init__(label, **more)
        self.whole = whole
        self.needed = needed
        self.flags.required = needed or None
        self.render_kw = {"step": "1" if whole else "any", **(self.render_kw or {})}

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        text = "" if self.data is None else f"{self.data:f}" if isinstance(self.data, Decimal) else str(self.data)
        return text.rstrip("0").rstrip(".") if "." in text else text

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data: Any = None
        if not text:
            if self.needed:
                raise ValueError("Give a number.")
            return
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError("Give a number, such as 30.") from None
        if not number.is_finite() or abs(number) >= 10**12:
            raise ValueError("Give a smaller number.")
        if self.whole and number != int(number):
            raise ValueError("Give a whole number.")
        self.data = int(number) if self.whole else number


class Form(FlaskForm):  # type: ignore[misc]  # it comes without types
    """A form that knows where a refusal of the domain belongs."""

    places: Mapping[str, str] = {}
    """Names that the domain gives to fields -> names of this form, where they differ."""
    conflict_at: str = ""
    """The field that conflicts without a name of their own are about."""

    def validate(self, extra_validators: Mapping[str, Any] | None = None) -> bool:
        is_fine: bool = super().validate(extra_validators)
        for name in g.get("without_nul", ()):
            if name in self._fields:
                field = self._fields[name]
                field.errors = [*field.errors, _WITHOUT_NUL]
                is_fine = False
        return is_fine

    def refuse(self, error: PortalError) -> int:
        """Put the error beside its field, or on top; the status to answer with."""
        if isinstance(error, Invalid):
            for name, sentence in error.fields.items():
                self.say(name, sentence)
        elif isinstance(error, NameTaken):
            self.say(error.field, str(error))
        elif isinstance(error, PathTaken):
            self.say("host" if not error.mount.startswith("/") else "path", str(error))
        else:
            self.say(self.conflict_at, str(error))
        return error.status

    def refuse_more(self, error: Invalid) -> int:
        """`refuse`, but for fields that something has been said about already."""
        fields = {name: said for name, said in error.fields.items() if self.places.get(name, name) not in self.errors}
        return self.refuse(Invalid(fields))

    def say(self, name: str, sentence: str) -> None:
        field = self._fields.get(self.places.get(name, name))
        if field is None:
            self.form_errors.append(sentence)
        else:
            field.errors = [*field.errors, sentence]

    @property
    def status(self) -> int:
        """Of a page that shows this form: 422 when something in it was not right."""
        return 422 if self.errors else 200
