from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from portal.db import utcnow
from portal.gateway.models import Node
from portal.gateway.roster import FREE, SILENT, NodeNameTaken, claim, coverage, nodes, report
from portal.registry.models import Revision


@pytest.fixture
def said(engine: Engine) -> Any:
    """Have a node say something, as a node does."""

    def said(verb: Any, name: str, instance_id: str, **values: Any) -> None:
        with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            verb(connection, name, instance_id, **({"state": "serving"} | values))

    return said


def silence(session: Session, name: str, **ago: Any) -> None:
    session.execute(update(Node).where(Node.name == name).values(seen_at=utcnow() - timedelta(**ago)))
    session.commit()


class TestClaim:
    def test_own_name_may_be_claimed_again(self, said: Any, session: Session) -> None:
        said(claim, "alpha", "one")
        said(claim, "alpha", "one", state="starting")

        assert [node.state for node in nodes(session)] == ["starting"]

    def test_name_of_another_machine_is_refused(self, said: Any) -> None:
        said(claim, "alpha", "one")

        with pytest.raises(NodeNameTaken, match="PORTAL_NODE_NAME"):
            said(claim, "alpha", "two")

    def test_name_is_free_after_a_stop_or_a_long_silence(self, said: Any, session: Session) -> None:
        said(claim, "alpha", "one", state="stopped")
        said(claim, "alpha", "two")
        silence(session, "alpha", seconds=FREE.total_seconds() + 1)
        said(claim, "alpha", "three")

        with pytest.raises(NodeNameTaken):
            said(report, "alpha", "two")

    def test_name_is_free_where_a_clock_went_back_since(self, said: Any, session: Session) -> None:
        said(claim, "alpha", "one")
        silence(session, "alpha", days=-365)

        said(claim, "alpha", "two")

        with pytest.raises(NodeNameTaken):
            said(report, "alpha", "one")

    def test_report_brings_a_lost_row_back(self, said: Any, session: Session) -> None:
        said(report, "alpha", "one", revision=3)

        assert [node.revision for node in nodes(session)] == [3]


class TestViews:
    def test_node_that_says_nothing_is_silent(self, said: Any, session: Session) -> None:
        said(claim, "alpha", "one", revision=7)
        silence(session, "alpha", seconds=SILENT.total_seconds() + 2)

        (node,) = nodes(session)

        assert node.state == "silent"
        assert node.sentence.startswith("Nothing was heard from it for 17 s.")
        assert not node.is_current

    def test_node_that_reported_before_a_clock_went_back_is_silent_until_it_reports(
        self, said: Any, session: Session
    ) -> None:
        said(claim, "alpha", "one", revision=7)
        silence(session, "alpha", days=-365)

        (before,) = nodes(session)
        said(report, "alpha", "one", revision=7)
        session.rollback()
        (after,) = nodes(session)

        assert (before.state, after.state) == ("silent", "serving")
        assert "a clock went back" in before.sentence
        assert not before.is_current

    def test_stopped_node_is_not_called_silent(self, said: Any, session: Session) -> None:
        said(claim, "alpha", "one", state="stopped")
        silence(session, "alpha", hours=3)

        assert [node.state for node in nodes(session)] == ["stopped"]

    def test_coverage_counts_the_nodes_that_serve_what_is_published(self, said: Any, session: Session) -> None:
        session.execute(update(Revision).values(n=5))
        session.commit()
        said(claim, "current", "one", revision=5)
        said(claim, "with-problems", "two", revision=5, state="troubled")
        said(claim, "late", "three", revision=4)
        said(claim, "down", "four", revision=5, state="down")
        said(claim, "stopped", "five", revision=5, state="stopped")

        assert str(coverage(session)) == "revision 5 live on 2 of 4"
        assert [node.name for node in nodes(session)] == ["current", "down", "late", "stopped", "with-problems"]
