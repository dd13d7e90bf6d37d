"""How often something changed that nodes must know."""

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base


class Revision(Base):
    """One row. `n` grows with every change that a node must know; nodes compare it with what they serve."""

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[int]

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)
