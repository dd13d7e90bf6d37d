"""Forms of channels. A stored address is never sent back: for a chat it is the right to write there."""

from datetime import timedelta

from wtforms import HiddenField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.widgets import CheckboxInput, ListWidget

from portal.notify.channels import BOTH_VALID
from portal.notify.events import EVENTS
from portal.notify.models import ChannelKind
from portal.web.forms import Form, choices, stripped

KINDS = {
    ChannelKind.WEBHOOK: "Webhook",
    ChannelKind.CHAT: "Chat",
}
"""The words for them on pages."""
_LASTS = {
    timedelta(0): "Not at all: it has leaked",
    timedelta(hours=1): "An hour",
    timedelta(days=1): "A day",
    timedelta(days=7): "Seven days",
}


class ChannelForm(Form):
    conflict_at = "name"

    url = StringField("Address", filters=[stripped])
    events = SelectMultipleField(
        "Events",
        choices=choices({event.word: event.title for event in EVENTS.values()}),
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
        validate_choice=False,
    )


class NewChannelForm(ChannelForm):
    kind = RadioField(
        "Kind",
        choices=choices(
            {
                ChannelKind.WEBHOOK: "Webhook: signed JSON for a program",
                ChannelKind.CHAT: "Chat: a text for people, as Slack, Mattermost and others take it",
            }
        ),
        default=ChannelKind.WEBHOOK.value,
    )
    name = StringField(
        "Name", filters=[stripped], description="What the team calls it: small letters, digits and dashes."
    )


class RotateForm(Form):
    seen = HiddenField()
    both_for = SelectField(
        "The present secret stays valid",
        choices=choices({str(int(each.total_seconds())): _LASTS[each] for each in BOTH_VALID}),
        default=str(int(timedelta(days=1).total_seconds())),
        description="So long every message carries two signatures, one of each secret. "
        "Give the receiver the new one meanwhile.",
    )
