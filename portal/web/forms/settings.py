"""Forms of the settings: me, teams, people."""

from wtforms import BooleanField, SelectField, StringField
from wtforms.validators import DataRequired, Length

from portal.accounts import Role
from portal.web.forms import Form, choices, email_line, one_line, stripped

ROLES = {
    Role.DEVELOPER: "Developer: consumers and keys",
    Role.PUBLISHER: "Publisher: also APIs and plans",
    Role.OWNER: "Owner: also members and deletion",
}


class NameForm(Form):
    name = one_line("Name", 80, needed="Give a name.")


class NewTeamForm(Form):
    conflict_at = "slug"

    name = one_line("Name", 80, needed="Give it a name.", description="What others see, such as Payments.")
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses. Left empty, it is made from the name.",
    )


class MemberForm(Form):
    conflict_at = "email"

    email = StringField(
        "E-mail address",
        filters=[stripped],
        validators=[DataRequired("Give the address that they sign in with."), Length(max=254)],
    )
    role = SelectField("Role", choices=choices({role.value: words for role, words in ROLES.items()}))


class RoleForm(Form):
    role = SelectField("Role", choices=choices({role.value: role.value.capitalize() for role in Role}))


class NewPersonForm(Form):
    conflict_at = "email"

    email = email_line("Give the address that they will sign in with.")
    name = one_line("Name", 80, needed="Give the name that others will see.")
    is_administrator = BooleanField("Make them an administrator")


class InvitationForm(Form):
    conflict_at = "email"

    email = email_line("Give the address to send the invitation to.")
