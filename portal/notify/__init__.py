"""Mail, as queued work: what a transaction wants sent is sent by the worker when that transaction has committed."""

from portal.notify.delivery import NotSent
from portal.notify.mail import mail, send

__all__ = ["NotSent", "mail", "send"]
