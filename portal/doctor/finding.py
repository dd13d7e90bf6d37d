from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    """`settings`, `folder`, `disk`, `database`, `secrets`, `gateway`, `certificate`, `mail` or `worker`."""
    sentence: str
    remedy: str
    is_note: bool = False
    """Worth knowing, and nothing is wrong."""
