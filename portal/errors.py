"""What can go wrong, as a tree of sentences. `str(error)` is what a person reads: what, which one, what now.

    PortalError                     500
    ├── BadRequest                  400
    ├── NotSignedIn                 401
    ├── Forbidden                   403
    ├── NotFound                    404
    ├── Conflict                    409
    │   ├── PathTaken                    another live API is served there
    │   ├── NameTaken                    a slug or name that must be unique is in use
    │   ├── Changed                      somebody else saved since the page was opened
    │   └── InUse                        the thing still has others that depend on it
    ├── LinkDead                    410  a mailed link that is used, too old or not whole
    ├── Stale                       412  a change was based on an older state than the one that is stored
    ├── Invalid                     422  with a sentence for each field
    │   └── Unreadable                   an OpenAPI document that cannot be understood
    ├── AddressRefused              422  an address that the portal or the gateway must not reach
    ├── MatchNeeded                 428  a change does not say which state it was based on
    ├── TooManyAttempts             429
    └── Unavailable                 503

`web/problems.py` is the one place that turns them into pages and JSON.
"""


class PortalError(Exception):
    status = 500


class BadRequest(PortalError):
    status = 400


class NotSignedIn(PortalError):
    status = 401

    def __init__(self, message: str = "Sign in to see this page.") -> None:
        super().__init__(message)


class Forbidden(PortalError):
    status = 403

    def __init__(self, message: str = "Your role does not allow this. Ask an owner of the team.") -> None:
        super().__init__(message)


class NotFound(PortalError):
    status = 404

    def __init__(self, message: str = "There is nothing here, or nothing that you may see.") -> None:
        super().__init__(message)


class Conflict(PortalError):
    status = 409


class PathTaken(Conflict):
    """`mount` is what was asked for, `owner` the API that has it, or None to those who may not know."""

    def __init__(self, mount: str, owner: str | None) -> None:
        super().__init__(f"{mount} already belongs to {owner or 'another API'}. Choose another one.")
        self.mount = mount
        self.owner = owner


class NameTaken(Conflict):
    """`field` is the name of what must be unique, such as `slug`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Changed(Conflict):
    def __init__(self, thing: str, who: str | None) -> None:
        super().__init__(
            f"{who or 'Somebody'} changed {thing} while you were editing it. Nothing of yours was saved. "
            "What you typed is below; open the page again to see what is stored."
        )


class InUse(Conflict):
    pass


class Stale(PortalError):
    status = 412

    def __init__(self) -> None:
        super().__init__(
            "Somebody has changed it since you read it, or If-Match names something else. Nothing was changed. "
            "Read it again, then send your change with the new ETag."
        )


class MatchNeeded(PortalError):
    status = 428

    def __init__(self) -> None:
        super().__init__("Send If-Match with the ETag of what you have read, so that nobody's change is overwritten.")


class LinkDead(PortalError):
    """`now` is the sentence about how to get another one."""

    status = 410

    def __init__(self, now: str) -> None:
        super().__init__(f"This link was used already, is too old, or was not copied whole. {now}")


class Invalid(PortalError):
    """`fields` maps a dotted field name (`upstream.targets.0.url`) to its sentence."""

    status = 422

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(" ".join(fields.values()))
        self.fields = fields


class Unreadable(Invalid):
    """What was given as an OpenAPI document is none, or is broken where nothing can be read around it."""

    def __init__(self, message: str) -> None:
        super().__init__({"document": message})


class TooManyAttempts(PortalError):
    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many attempts. Wait {seconds} {'second' if seconds == 1 else 'seconds'} and try again.")
        self.seconds = seconds


class Unavailable(PortalError):
    status = 503


class AddressRefused(PortalError):
    """An address that is never, or not here, allowed for anything that this installation fetches or sends to."""

    status = 422
