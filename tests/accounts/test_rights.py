"""Who is an administrator is one thing, who acts as one another: a token may reach less far than its person."""

import ast
from pathlib import Path

from portal.accounts import standing
from tests import factories

PORTAL = Path(__file__).parents[2] / "portal"
TELLS = {
    "accounts/models.py": "where the difference is made",
    "accounts/rights.py": "of a Standing, which is made of who acts",
    "accounts/people.py": "appoints, dismisses, and counts who is left",
    "accounts/second_factor.py": "a duty, not a right",
    "rest/me.py": "told",
    "rest/people.py": "told and changed",
    "web/admin.py": "told and changed",
    "web/own_data.py": "told",
    "web/people.py": "a field of a form",
}
"""Where the column may be read. What is allowed is decided by `acts_as_administrator` alone."""


def test_nothing_is_allowed_by_the_column():
    reading = {
        str(path.relative_to(PORTAL))
        for path in PORTAL.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "is_administrator"
    }

    assert reading == TELLS.keys()


def test_who_is_narrowed_stands_to_a_team_as_anybody(session, cast):
    assert standing(cast.administrator, cast.team).is_administrator
    cast.administrator.is_narrowed = True

    assert not standing(cast.administrator, cast.team).is_administrator


def test_it_outlives_a_rollback_and_is_nobody_elses(session, cast):
    """A request's transactions begin by forgetting what was read."""
    other = factories.person(session, is_administrator=True)
    session.commit()
    cast.administrator.is_narrowed = True
    session.rollback()
    session.expire_all()

    assert not cast.administrator.acts_as_administrator
    assert cast.administrator not in session.dirty
    assert other.acts_as_administrator
