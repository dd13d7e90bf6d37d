"""Forms of upstream secrets. What is secret in them is never sent back, not even to who has just typed it."""

from wtforms import PasswordField, StringField, TextAreaField

from portal.registry.models import SecretKind
from portal.registry.secrets import TEXTS
from portal.web.forms import Form, stripped

KINDS = {
    SecretKind.HEADER: "Header",
    SecretKind.BASIC: "Basic",
    SecretKind.CLIENT_CERTIFICATE: "Client certificate",
}
"""The words for them on pages."""


class _SecretTextArea(TextAreaField):
    def _value(self) -> str:
        return ""


class _Texts(Form):
    kind: SecretKind

    def texts(self) -> dict[str, str]:
        return {name: self[name].data or "" for name in TEXTS[self.kind]}


class HeaderForm(_Texts):
    kind = SecretKind.HEADER

    value = PasswordField(
        "Value",
        filters=[stripped],
        description="All that stands behind the colon, such as a token. It is not shown again.",
    )


class BasicForm(_Texts):
    kind = SecretKind.BASIC

    user = StringField("User name", filters=[stripped])
    password = PasswordField("Password", description="It is not shown again.")


class ClientCertificateForm(_Texts):
    kind = SecretKind.CLIENT_CERTIFICATE

    chain_pem = TextAreaField(
        "Certificate",
        filters=[stripped],
        description="In PEM form; below it those that vouch for it, if the target needs them.",
    )
    key_pem = _SecretTextArea(
        "Private key", filters=[stripped], description="In PEM form, without a passphrase. It is not shown again."
    )


class _Named(Form):
    conflict_at = "name"

    name = StringField(
        "Name", filters=[stripped], description="What documents call it: small letters, digits and dashes."
    )


class NewHeaderForm(HeaderForm, _Named):
    pass


class NewBasicForm(BasicForm, _Named):
    pass


class NewClientCertificateForm(ClientCertificateForm, _Named):
    pass


NEW = {form.kind: form for form in (NewHeaderForm, NewBasicForm, NewClientCertificateForm)}
REPLACING = {form.kind: form for form in (HeaderForm, BasicForm, ClientCertificateForm)}
