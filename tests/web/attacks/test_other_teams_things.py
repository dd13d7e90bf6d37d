"""Who owns one team reaches nothing of another, by no mixture of both teams' addresses and by no form."""

import re
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import select

from portal import registry
from portal.accounts import Membership, Person, Role, Team
from portal.db import db
from portal.registry.models import Api, Consumer, Plan, Visibility
from tests import factories
from tests.conftest import sign_in
from tests.web.attacks.pages import browser, rows


@pytest.fixture(scope="module")
def mine(world) -> dict[str, Any]:
    """The same parts of addresses, of a team that belongs to the outsider: one of each thing, none of the others."""
    with world.app.app_context():
        session = db.session()
        outsider = session.get(Person, world.people["outsider"].id)
        team = next(team for team in outsider.teams if not team.is_personal)
        plan = factories.plan(session, team=team)
        api = factories.api(session, team=team, live=True, plans=[plan], version="v9")
        consumer = factories.consumer(session, team=team)
        subscription = factories.subscription(session, consumer, api)
        key, _ = factories.key(session, consumer)
        member = factories.member(session, team, Role.DEVELOPER)
        theirs = session.scalars(select(Api).join(Team).where(Team.slug == world.parts["team"])).one()
        changed = registry.read_document(theirs.draft | {"description": "Changed"})
        registry.save_draft(session, theirs, changed, by=None, expected=theirs.draft_number)
        registry.publish(session, theirs, by=None, expected=theirs.draft_number)
        # What its team shows to everybody who signs in is nobody's secret.
        registry.set_visibility(session, theirs, Visibility.TEAM, [])
        session.commit()
        parts = {
            **{"team": team.slug, "slug": api.slug, "version": api.version, "number": 1, "plan": plan.slug},
            **{"consumer": consumer.slug, "subscription": subscription.id, "key": key.public_id},
            **{"member": next(each.id for each in team.memberships if each.person_id == member.id)},
        }
        session.close()
    return parts


def become(world, role: Role):
    """The outsider, in this role in the team that is theirs."""
    with world.app.app_context():
        session = db.session()
        for each in session.scalars(select(Membership).where(Membership.person_id == world.people["outsider"].id)):
            if not each.team.is_personal:
                each.role = role
        session.commit()
        session.close()
    return browser(world, "outsider")


def mixtures(world, mine):
    """(rule, address) of every route under a team, with at least one part of the other team's, the others of one's own.

    A release of their number 2 is under one's own API, where only number 1 is.
    """
    theirs = world.parts | {"number": 2}
    addresses = world.app.url_map.bind("localhost")
    for rule in world.app.url_map.iter_rules():
        if "team" not in rule.arguments or rule.rule.startswith("/api/"):
            continue
        # A kind is no thing of anybody's.
        named = sorted(rule.arguments - {"kind"})
        for count in range(1, len(named) + 1):
            for taken in combinations(named, count):
                parts = {
                    name: theirs[name] if name in taken else mine.get(name, theirs[name]) for name in rule.arguments
                }
                for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
                    yield method, rule, addresses.build(rule.endpoint, parts, method)


@pytest.mark.parametrize("role", list(Role))
def test_no_mixture_of_two_teams_addresses_leads_anywhere(world, mine, role):
    client = become(world, role)
    before, reached, tried = rows(world), [], 0
    for method, rule, address in mixtures(world, mine):
        answer = client.open(
            address, method=method, data={"confirm": world.parts["slug"]} if method == "POST" else None
        )
        tried += 1
        # Some acts are for administrators, whichever team it is about.
        if answer.status_code not in {403, 404} or (answer.status_code == 403 and "publishing" not in address):
            reached.append(f"{method} {rule} as {address}: {answer.status_code}")
    assert reached == []
    assert rows(world) == before
    assert tried > 100


def test_ones_own_are_reached(world, mine):
    """What is refused above is not simply everything."""
    client = become(world, Role.OWNER)
    addresses = world.app.url_map.bind("localhost")
    own = [r for r in world.app.url_map.iter_rules() if "team" in r.arguments and "GET" in r.methods]
    own = [r for r in own if not r.rule.startswith("/api/")]
    for rule in own:
        if rule.arguments <= mine.keys():
            address = addresses.build(rule.endpoint, {a: mine[a] for a in rule.arguments}, "GET")
            # This API takes no tokens, so it has no page of the keys that they are verified with.
            expected = 404 if rule.endpoint == "apis.token_keys" else 200
            assert client.get(address).status_code == expected, address
    assert len(own) > 15


class TestForms:
    """Things of others, named by a field instead of the address."""

    def test_make_nothing_in_another_team(self, world, mine):
        client, before = become(world, Role.OWNER), rows(world)
        theirs = world.parts["team"]
        target = {"target_0_url": "http://127.0.0.1:1", "path": "/x/v1"}
        for address in ("/consumers/new", "/plans/new", "/apis/new"):
            for address_ in (address, f"{address}?team={theirs}"):
                form = {"name": "Mine", "slug": "mine", "version": "v1", "team": theirs} | target
                assert client.post(address_, data=form).status_code == 422
        assert rows(world) == before

    def test_subscribe_to_nothing_that_is_not_offered(self, world, mine):
        with world.app.app_context():
            session = db.session()
            theirs = session.scalars(select(Team).where(Team.slug == world.parts["team"])).one()
            draft = factories.api(session, team=theirs)
            secret = factories.plan(session, team=theirs)
            session.commit()
            label, plan = draft.label, secret.slug
            session.close()
        client, before = become(world, Role.OWNER), rows(world)
        own = "{team}/{consumer}".format(**mine)
        open_ = "{team}/{slug}/{version}".format(**world.parts)
        assert client.post(f"/catalogue/{label}/subscribe", data={"consumer": own, "plan": plan}).status_code == 404
        for consumer, wanted in ((own, plan), (own, mine["plan"]), ("{team}/{consumer}".format(**world.parts), None)):
            form = {"consumer": consumer, "plan": wanted or world.parts["plan"]}
            assert client.post(f"/catalogue/{open_}/subscribe", data=form).status_code in {404, 422}
        assert label not in client.get("/consumers/{team}/{consumer}/subscriptions/new".format(**mine)).text
        assert rows(world) == before

    def test_offer_no_plan_of_another_team(self, world, mine):
        client = become(world, Role.OWNER)
        address = "/apis/{team}/{slug}/{version}/plans".format(**mine)
        assert client.post(address, data={"plan": [mine["plan"], world.parts["plan"]]}).status_code == 303

        with world.app.app_context():
            api = db.session.scalars(select(Api).where(Api.slug == mine["slug"])).one()
            assert [plan.slug for plan in api.plans] == [mine["plan"]]
            db.session.remove()

    def test_make_no_key_with_the_birth_mark_of_another_consumer(self, world, mine):
        mark = re.compile(r'name="birth"[^>]*value="([^"]+)"')
        form = "/consumers/{team}/{consumer}/keys/new"
        theirs = mark.search(browser(world, "owner").get(form.format(**world.parts)).text)[1]
        client, before = become(world, Role.OWNER), rows(world)

        assert client.post(form.format(**mine), data={"birth": theirs, "expires": "never"}).status_code == 400
        assert rows(world) == before


class TestLists:
    def test_show_nothing_of_another_team(self, world, mine):
        client = become(world, Role.OWNER)
        with world.app.app_context():
            session = db.session()
            names = [
                session.scalars(select(m.name).where(m.slug == world.parts[p])).one()
                for m, p in ((Api, "slug"), (Plan, "plan"), (Consumer, "consumer"), (Team, "team"))
            ]
            session.close()
        hidden = {*names, world.parts["request_id"], world.parts["key"], world.people["administrator"].email}
        label = "{team}/{consumer}".format(**world.parts)
        asked = ("", f"?team={world.parts['team']}", f"?consumer={label}", f"?key={world.parts['key']}")
        for address in ("/", "/apis", "/plans", "/consumers", "/calls", "/traffic", "/settings", "/settings/teams"):
            for query in asked:
                text = client.get(address + query, follow_redirects=True).text
                # What was asked for stands in the field again; what belongs to it does not.
                assert [each for each in hidden if each not in query and f">{each}<" in text] == []

    def test_no_call_of_another_team_opens(self, world, mine):
        client = become(world, Role.OWNER)

        assert client.get(f"/calls/{world.parts['request_id']}").status_code == 404
        assert sign_in(client, world.people["developer"]).get(f"/calls/{world.parts['request_id']}").status_code == 200
