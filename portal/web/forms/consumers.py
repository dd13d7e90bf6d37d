"""Forms of consumers."""

from typing import Any

from wtforms import SelectField, StringField, TextAreaField

from portal.errors import Invalid
from portal.registry.models import Consumer
from portal.web.forms import Form, one_line, stripped


class ConsumerForm(Form):
    name = one_line("Name", 80, needed="Give it a name.", description="The application that calls, such as Web shop.")
    description = TextAreaField("Description", description="What it does.")
    contacts = TextAreaField(
        "Contacts",
        description="Whom to ask about it: addresses, names or channels, one a line. "
        "The teams of APIs that it subscribes to see them.",
    )
    metadata = TextAreaField(
        "Metadata",
        description="What your team wants to find again, such as a cost centre: one key = value a line.",
    )

    def facts(self) -> dict[str, Any]:
        """What the registry takes beside the name. Raises Invalid for a line of metadata that is none."""
        metadata: dict[str, str] = {}
        for line in filter(None, map(stripped, (self.metadata.data or "").splitlines())):
            key, equals, value = line.partition("=")
            if not equals:
                raise Invalid({"metadata": f"Write {line[:60]} as key = value."})
            if key.strip() in metadata:
                raise Invalid({"metadata": f"{key.strip()[:60]} stands here twice. Keep one of the two."})
            metadata[key.strip()] = value.strip()
        return {
            "description": stripped(self.description.data),
            "contacts": [stripped(line) for line in (self.contacts.data or "").splitlines()],
            "metadata": metadata,
        }


def written(consumer: Consumer) -> dict[str, str]:
    """The consumer as the form shows it."""
    return {
        "name": consumer.name,
        "description": consumer.description,
        "contacts": "\n".join(consumer.contacts),
        "metadata": "\n".join(f"{key} = {value}" for key, value in sorted(consumer.attributes.items())),
    }


class NewConsumerForm(ConsumerForm):
    conflict_at = "slug"

    team = SelectField("Team", description="Its members see the consumer and may issue keys.")
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses. Left empty, it is made from the name.",
    )
