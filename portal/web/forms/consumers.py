"""Forms of consumers."""

from wtforms import SelectField, StringField, TextAreaField

from portal.web.forms import Form, one_line, stripped


class ConsumerForm(Form):
    name = one_line("Name", 80, needed="Give it a name.", description="The application that calls, such as Web shop.")
    description = TextAreaField("Description", description="What it does and who to ask about it.")


class NewConsumerForm(ConsumerForm):
    conflict_at = "slug"

    team = SelectField("Team", description="Its members see the consumer and may issue keys.")
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses. Left empty, it is made from the name.",
    )
