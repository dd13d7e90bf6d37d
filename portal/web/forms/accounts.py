"""Forms of accounts: addresses to which a link is sent, and the account that an invitation leads to."""

from flask_security.proxies import _security
from wtforms import PasswordField, StringField, ValidationError
from wtforms.validators import DataRequired

from portal.web.forms import Form, email_line, one_line, stripped


class AddressForm(Form):
    email = email_line("Give your e-mail address.")


class NewAddressForm(Form):
    conflict_at = "email"

    email = email_line("Give the new address.", "New e-mail address")
    password = PasswordField("Password", validators=[DataRequired("Give the password that you have now.")])


class ProofForm(Form):
    """What somebody who is signed in gives once more. The code is asked of those who have a second factor only."""

    password = PasswordField("Your password")
    code = StringField("Code of your app, or a recovery code", filters=[stripped])


class AcceptForm(Form):
    """The address is that of the invitation and not asked for."""

    conflict_at = "name"

    name = one_line("Name", 80, needed="Give the name that others will see.")
    password = PasswordField("Password", validators=[DataRequired("Give a password.")])
    email = ""
    """Of the invitation."""

    def validate_password(self, field: StringField) -> None:
        """By the same rules as at sign-up."""
        about = {"email": self.email, "name": self.name.data}
        wrong, field.data = _security.password_util.validate(field.data or "", True, **about)
        if wrong:
            raise ValidationError(" ".join(wrong))
