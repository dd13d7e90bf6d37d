"""Telling people: what a transaction wants told is delivered by the worker when that transaction has committed."""

from portal.notify.delivery import NotSent, forget_files, knock
from portal.notify.mail import forget, mail, send, waiting
from portal.notify.notices import spread, tell

__all__ = ["NotSent", "forget", "forget_files", "knock", "mail", "send", "spread", "tell", "waiting"]
