"""Mail, as queued work: what a transaction wants sent is sent by the worker when that transaction has committed."""

from portal.notify.delivery import NotSent, forget_files, knock
from portal.notify.mail import forget, mail, send, waiting

__all__ = ["NotSent", "forget", "forget_files", "knock", "mail", "send", "waiting"]
