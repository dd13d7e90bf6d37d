"""What a receiver has answered, as its log may show it: nothing secret, nothing that breaks a page. Pure."""

import re
from collections.abc import Iterable

MOST_BYTES = 2_048
_BEARER = re.compile(r"\b(p(?:co|pt|cc)_)[0-9A-Za-z_.-]+|\b(whsec_)[0-9A-Za-z+/=_-]+")
_NAMED = re.compile(
    r"""(?ix) ((?:authorization|secret|token|password|passwd|api[-_]?key|cookie|signature)["']?\s*[:=]\s*["']?)
        (?:(?:bearer|basic)\s+)? [^\s"',;<>&]+"""
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def masked(data: bytes, secrets: Iterable[str]) -> str:
    """The first 2 kB as text. What is ours (`secrets`, keys, tokens) and what is called a secret becomes `…`."""
    text = _CONTROL.sub("�", data[:MOST_BYTES].decode("utf-8", "replace").replace("\r\n", "\n"))
    for secret in filter(None, secrets):
        text = text.replace(secret, "…")
    text = _BEARER.sub(lambda found: f"{found[1] or found[2]}…", text)
    return _NAMED.sub(lambda found: f"{found[1]}…", text)
