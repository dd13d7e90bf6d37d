"""What the forms of keys and of access tokens share: the day on which one ends, and a mark, so that a form which is
sent twice makes one."""

from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

from itsdangerous import BadSignature, URLSafeSerializer

from portal.errors import BadRequest, Invalid


class Ending:
    """Of a form with the fields `expires` (a number of days, or "date") and `until`, a day."""

    noun: ClassVar[str]
    expires: Any
    until: Any

    def validate_until(self, field: Any) -> None:
        # A date that is not asked for need not be one.
        typed = self.expires.data == "date" and any(field.raw_data or ())
        field.errors = ["Give a day, such as 2027-01-31."] if typed and field.errors else []

    def ends(self, now: datetime) -> datetime:
        """Raises Invalid when a date is asked for and not given."""
        if self.expires.data != "date":
            return now + timedelta(days=int(self.expires.data))
        if self.until.data is None:
            raise Invalid({"expires_at": f"Choose the last day on which the {self.noun} works."})
        try:
            return datetime.combine(self.until.data, time(), UTC) + timedelta(days=1)
        except OverflowError:
            raise Invalid({"expires_at": "Choose an earlier day."}) from None


class BirthMark:
    """Signs the id of what a form will make, so that nobody chooses one; valid for one owner.

    `what` names both, such as `key of consumer 7`.
    """

    def __init__(self, secret: str, what: str) -> None:
        self._signer = URLSafeSerializer(secret, salt=f"portico {what}")

    def sign(self, public_id: str) -> str:
        return str(self._signer.dumps(public_id))

    def read(self, mark: str) -> str:
        """Raises BadRequest for a mark that this form did not get from us."""
        try:
            return str(self._signer.loads(mark))
        except BadSignature:
            raise BadRequest("This form is not complete. Open the page again and send it once more.") from None
