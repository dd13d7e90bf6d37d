"""The page of the gateway: nodes, problems, and what Envoy gets."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from portal.db import utcnow
from portal.gateway.models import Node
from portal.registry.models import Revision
from portal.traffic.models import MisreadLine
from tests import factories
from tests.conftest import sign_in


@pytest.fixture
def administrator(client, cast):
    return sign_in(client, cast.administrator)


def node(session, name="node-1", **fields):
    current = session.get(Revision, 1).n
    row = Node(**{"name": name, "instance_id": name, "state": "serving", "revision": current} | fields)
    session.add(row)
    session.commit()
    return row


@pytest.mark.parametrize("address", ["/gateway", "/gateway/files", "/gateway/files/rds/rds.json"])
def test_is_for_administrators(client, cast, address):
    assert sign_in(client, cast.owner).get(address).status_code == 403


class TestNodes:
    def test_without_one_it_says_how_to_start_one(self, administrator):
        page = administrator.get("/gateway").text

        assert "No node runs yet" in page
        assert "flask gateway run" in page

    def test_tells_how_far_each_is(self, administrator, session):
        session.get(Revision, 1).n = 7
        node(session, publish_ms=214, published_at=utcnow(), envoy_version="1.40.0", log_waiting=48_200)
        node(session, "node-2", revision=6)
        node(session, "node-3", state="stopped")

        page = administrator.get("/gateway").text

        assert "Revision 7 is live on 1 of 2 nodes" in page
        assert "214\u202fms" in page
        assert "48.2\u202fkB" in page

    def test_links_a_problem_to_its_api(self, administrator, session, cast):
        api = factories.api(session, team=cast.team, live=True, slug="orders", name="Orders")
        problems = [
            {"api": api.label, "sentence": "orders.example does not resolve."},
            {"api": "gone/gone/v1", "sentence": "It cannot be read."},
            {"api": "", "sentence": "The disk is full."},
        ]
        session.commit()
        node(session, state="troubled", problems=problems)

        page = administrator.get("/gateway").text

        assert f'href="/apis/{cast.team.slug}/orders/v1">Orders</a>: orders.example does not resolve.' in page
        assert "<strong>gone/gone/v1</strong>: It cannot be read." in page
        assert "The disk is full." in page

    def test_stays_short_when_thousands_have_one_cause(self, administrator, session):
        lost = [{"api": f"team/api-{n:04}/v1", "sentence": "a.example does not resolve."} for n in range(3_000)]
        node(session, problems=[*lost, {"api": "", "sentence": "No name server answers."}])

        page = administrator.get("/gateway").text

        assert page.count("a.example does not resolve.") == 1
        assert page.count("<strong>team/api-") == 21
        assert "and 2,979 more: a.example" in page
        assert "No name server answers." in page

    def test_stays_short_when_thousands_have_their_own(self, administrator, session):
        lost = [{"api": f"team/api-{n}/v1", "sentence": f"{n}.example does not resolve."} for n in range(3_000)]
        node(session, problems=lost)

        page = administrator.get("/gateway").text

        assert page.count("does not resolve.") == 50
        assert "and 2,950 more problems of APIs" in page

    def test_a_host_is_told_once_for_each_set_of_nodes(self, administrator, session):
        both, one = ({"api": f"team/{name}/v1", "sentence": "a.example does not resolve."} for name in ("both", "one"))
        node(session, "node-1", problems=[both, one])
        node(session, "node-2", problems=[both])

        page = administrator.get("/gateway").text

        assert page.count("a.example does not resolve.") == 2
        assert "on node-1, node-2" in page

    def test_counts_lines_that_were_no_calls(self, administrator, session):
        for age, count in ((1, 3), (2, 4), (30, 100)):
            session.add(
                MisreadLine(node="node-1", at=utcnow() - timedelta(hours=age), line=b"{", error="not JSON", count=count)
            )
        session.commit()

        assert "7 in the last 24 hours" in administrator.get("/gateway").text

    def test_refreshes_only_what_changes(self, administrator, session):
        node(session)
        fragment = administrator.get("/gateway", headers={"HX-Request": "true"}).text
        assert "<html" not in fragment
        assert "node-1" in fragment


class TestEncryption:
    @pytest.mark.parametrize(("bind", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
    def test_of_listeners_in_clear_is_missed_aloud(self, administrator, app, bind, warned):
        app.extensions["portico"] = replace(app.extensions["portico"], gateway_bind=bind)

        page = administrator.get("/gateway").text

        assert ("Not everything is encrypted" in page) == warned
        assert (f"The gateway listens on {bind} port 8080 in clear" in page) == warned


class TestFiles:
    def test_are_listed_with_their_sizes(self, administrator):
        page = administrator.get("/gateway/files").text
        assert "rds/rds.json" in page
        assert "kB" in page

    def test_show_a_published_api(self, administrator, session):
        factories.api(session, live=True, path="/orders/v1")
        session.commit()

        assert "/orders/v1" in administrator.get("/gateway/files/rds/rds.json").text

    def test_are_downloaded_as_they_are(self, administrator):
        answer = administrator.get("/gateway/files/cds/cds.json?download=1")

        assert answer.headers["Content-Disposition"] == "attachment; filename=cds-cds.json"
        assert "resources" in orjson.loads(answer.data)

    def test_hold_nothing_of_a_key(self, administrator, session):
        consumer = factories.consumer(session)
        key, token = factories.key(session, consumer)
        session.commit()
        names = [row.partition('"')[0] for row in administrator.get("/gateway/files").text.split("/gateway/files/")[1:]]

        content = b"".join(
            administrator.get(f"/gateway/files/{name.partition('?')[0]}?download=1").data for name in names
        )

        assert b"1 keys" in content
        for secret in (token.value, token.public_id, key.sha256.hex()):
            assert secret.encode() not in content
        assert key.sha256 not in content

    def test_too_large_for_a_page_are_for_download(self, administrator, session):
        team = factories.team(session)
        for n in range(400):
            factories.api(session, team=team, live=True, path=f"/service-{n}/v1")
        session.commit()

        page = administrator.get("/gateway/files/rds/rds.json").text

        assert "Too large to show" in page
        assert "/service-7/v1" not in page

    def test_of_another_name_are_not_found(self, administrator):
        answer = administrator.get("/gateway/files/data/../../../etc/passwd")
        assert answer.status_code == 404
