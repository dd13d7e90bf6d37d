"""The pages of keys: what they may do, how they are used, their rotation, and those that nobody uses."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select

from portal import registry
from portal.db import db, utcnow
from portal.notify.models import Notice
from portal.registry.keys import Restrictions
from portal.registry.models import Api, Consumer, Key
from tests import factories
from tests.conftest import sign_in
from tests.traffic.lines import refused
from tests.web import logged

C = "/consumers/cast/shop"


@pytest.fixture(autouse=True)
def noise(session, cast):
    """Another team's consumer of the same slug, with a key."""
    consumer = factories.consumer(session, slug="shop", name="Noise")
    factories.key(session, consumer, label="foreign")
    factories.subscription(session, consumer, factories.api(session, live=True, name="Noise API"))
    session.commit()
    return consumer


@pytest.fixture
def developer(client, cast):
    return sign_in(client, cast.developer)


@pytest.fixture
def shop(session, cast) -> Consumer:
    consumer = factories.consumer(session, team=cast.team, slug="shop", name="Web shop")
    session.commit()
    return consumer


@pytest.fixture
def orders(session) -> Api:
    team = factories.team(session, slug="payments", name="Payments")
    plan = factories.plan(session, team=team, slug="free", name="Free")
    api = factories.api(
        session,
        team=team,
        live=True,
        plans=[plan],
        slug="orders",
        name="Orders",
        path="/orders/v1",
        openapi=factories.openapi_document(session),
    )
    session.commit()
    return api


def keys_of(session, consumer) -> list[Key]:
    session.rollback()
    return list(session.scalars(select(Key).where(Key.consumer_id == consumer.id).order_by(Key.id)))


class TestIssueKey:
    def issue(self, client, **form):
        page = client.get(f"{C}/keys/new").text
        birth = re.search(r'name="birth" value="([^"]+)"', page)[1]
        return client.post(f"{C}/keys/new", data={"birth": birth, "expires": "never"} | form), birth

    def test_of_a_suspended_consumer_says_that_it_is_refused_until_that_is_resumed(self, developer, session, shop):
        assert "Resume it" not in developer.get(f"{C}/keys/new").text
        registry.suspend_consumer(session, shop)
        session.commit()

        answer, _ = self.issue(developer)

        (key,) = keys_of(session, shop)
        for page in (answer, *map(developer.get, (f"{C}/keys/new", f"{C}/keys/{key.public_id}"))):
            assert "Web shop is suspended: calls with any of its keys" in page.text
            assert "consumer_suspended" in page.text

    def test_is_shown_once_with_a_ready_command(self, developer, session, shop, orders):
        factories.subscription(session, shop, orders)
        session.commit()
        answer, _ = self.issue(developer, label="laptop")

        token = re.search(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", answer.text)[0]
        (key,) = keys_of(session, shop)
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        assert (key.public_id, key.sha256, key.label) == (token[4:16], registry.Token(token).sha256, "laptop")
        assert f"curl http://localhost:8080/orders/v1 \\\n  -H &#34;X-API-Key: {token}&#34;" in answer.text
        assert token not in developer.get(C).text

    def test_sending_the_form_again_makes_no_second_key_and_shows_none(self, developer, session, shop):
        first, birth = self.issue(developer)
        again = developer.post(f"{C}/keys/new", data={"birth": birth, "expires": "never"})

        assert (first.status_code, again.status_code) == (201, 409)
        assert "was made then" in again.text
        assert not re.search(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", again.text)
        assert len(keys_of(session, shop)) == 1

    def test_nobody_chooses_the_id_of_a_key(self, developer, session, shop):
        other = factories.consumer(session, team=shop.team, slug="other")
        session.commit()
        page = developer.get("/consumers/cast/other/keys/new").text
        birth = re.search(r'name="birth" value="([^"]+)"', page)[1]

        for forged in ("", "aaaaaaaaaaaa", birth):
            assert developer.post(f"{C}/keys/new", data={"birth": forged, "expires": "never"}).status_code == 400
        assert keys_of(session, shop) == keys_of(session, other) == []

    def test_expires_after_so_many_days(self, developer, session, shop):
        self.issue(developer, expires="30")

        (key,) = keys_of(session, shop)
        assert timedelta(days=29, hours=23) < key.expires_at - utcnow() <= timedelta(days=30)

    def test_expires_at_the_end_of_a_day(self, developer, session, shop):
        day = (utcnow() + timedelta(days=10)).date()
        answer, _ = self.issue(developer, expires="date", until=day.isoformat())

        (key,) = keys_of(session, shop)
        assert key.expires_at == datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        assert f"{key.expires_at:%Y-%m-%d} 00:00:00 UTC" in answer.text

    @pytest.mark.parametrize(
        ("until", "sentence"),
        [
            ("", "Choose the last day"),
            ("soon", "Give a day, such as"),
            ("2001-01-01", "This time has passed"),
            ("9999-12-31", "Choose an earlier day"),
        ],
    )
    def test_a_day_that_cannot_be_is_refused(self, developer, session, shop, until, sentence):
        answer, _ = self.issue(developer, expires="date", until=until, label="kept")

        assert answer.status_code == 422
        assert sentence in answer.text
        assert 'value="kept"' in answer.text
        assert keys_of(session, shop) == []

    def test_a_day_that_is_not_asked_for_is_not_looked_at(self, developer, session, shop):
        assert self.issue(developer, expires="never", until="soon")[0].status_code == 201


class TestKey:
    @pytest.fixture
    def key(self, session, shop) -> Key:
        key, _ = factories.key(session, shop, label="laptop")
        session.commit()
        return key

    def test_first_call_is_waited_for_and_then_told(self, developer, engine, tmp_path, shop, orders, noise, key):
        url = f"{C}/keys/{key.public_id}/first-call"
        (foreign,) = noise.keys
        logged.store(engine, tmp_path, logged.line(orders, noise, foreign))
        waiting = developer.get(url, headers={"HX-Request": "true"}).text
        call = logged.line(orders, shop, key)
        logged.store(engine, tmp_path, call)
        received = developer.get(url, headers={"HX-Request": "true"}).text

        assert "Waiting for the first call" in waiting
        assert "data-poll-done" not in waiting
        assert "First call received" in received
        assert "data-poll-done" in received
        assert logged.id_of(call) in received
        assert "<html" not in received
        assert "<html" in developer.get(url).text

    def test_last_use_is_shown_before_it_is_revoked(self, developer, session, engine, tmp_path, shop, orders, key):
        url = f"{C}/keys/{key.public_id}/revoke"
        assert "<dt>Last used</dt><dd>never</dd>" in developer.get(url).text
        logged.store(engine, tmp_path, logged.line(orders, shop, key, ago=timedelta(hours=3)))

        assert "3 hours ago" in developer.get(url).text
        assert "3 hours ago" in developer.get(C).text
        assert keys_of(session, shop)[0].revoked_at is None
        assert developer.post(url).status_code == 303
        assert keys_of(session, shop)[0].revoked_at is not None


def hidden(page: str, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]+)"', page)[1]


class TestRestrictions:
    def form(self, client, url: str, **fields):
        page = client.get(url).text
        birth = {"birth": hidden(page, "birth")} if 'name="birth"' in page else {}
        return client.post(url, data=birth | {"expires": "never"} | fields)

    def test_are_chosen_on_the_form_and_told_as_a_sentence(self, developer, session, shop, orders):
        use = factories.subscription(session, shop, orders)
        session.commit()
        operation = f"{orders.id} GET /pets/{{id}}"

        answer = self.form(
            developer,
            f"{C}/keys/new",
            read_only="y",
            addresses="10.0.0.0/8\n::1",
            subscriptions=str(use.id),
            operations=operation,
        )

        (key,) = keys_of(session, shop)
        assert Restrictions.of(key) == Restrictions(
            True, ("10.0.0.0/8", "::1/128"), frozenset({use.id}), frozenset({(orders.id, "GET", "/pets/{id}")})
        )
        said = "May only read Orders v1, of Orders v1 only GET /pets/{id}, from 10.0.0.0/8 and ::1."
        assert answer.status_code == 201
        assert said in answer.text
        assert said in developer.get(f"{C}/keys/{key.public_id}").text
        assert said in developer.get(C).text

    def test_a_network_with_host_bits_is_refused_and_what_was_typed_is_kept(self, developer, session, shop, orders):
        use = factories.subscription(session, shop, orders)
        session.commit()

        answer = self.form(
            developer, f"{C}/keys/new", addresses="10.1.2.3/8", read_only="y", label="ci", subscriptions=str(use.id)
        )

        assert answer.status_code == 422
        assert "10.1.2.3/8 is an address inside of the network 10.0.0.0/8." in answer.text
        assert ">\r\n10.1.2.3/8</textarea>" in answer.text
        assert 'value="ci"' in answer.text
        assert answer.text.count("checked") == 2
        assert keys_of(session, shop) == []

    def test_what_is_not_offered_cannot_be_chosen(self, developer, session, shop, orders, noise):
        factories.subscription(session, shop, orders)
        foreign = noise.subscriptions[0].id
        session.commit()

        for wrong in (
            {"subscriptions": str(foreign)},
            {"subscriptions": "x"},
            {"operations": "x"},
            {"operations": f"{orders.id} GET /none"},
        ):
            assert self.form(developer, f"{C}/keys/new", **wrong).status_code == 422
        assert keys_of(session, shop) == []

    def test_are_changed_later_and_shown_as_they_are(self, developer, session, shop, orders):
        use = factories.subscription(session, shop, orders)
        key, _ = factories.key(
            session,
            shop,
            label="ci",
            expires_at=utcnow() + timedelta(days=9),
            restrictions=Restrictions(True, ("192.0.2.1",), frozenset({use.id})),
        )
        session.commit()
        end, url = key.expires_at, f"{C}/keys/{key.public_id}/edit"
        page = developer.get(url).text
        assert ">\r\n192.0.2.1</textarea>" in page
        assert page.count("checked") == 2

        answer = self.form(developer, url, label="ci 2", addresses="", expires="kept")

        assert (answer.status_code, answer.location) == (303, f"{C}/keys/{key.public_id}")
        session.rollback()
        assert (key.label, key.expires_at, Restrictions.of(key)) == ("ci 2", end, Restrictions())

    def test_an_expiry_in_the_past_is_refused(self, developer, session, shop):
        key, _ = factories.key(session, shop)
        session.commit()

        answer = self.form(developer, f"{C}/keys/{key.public_id}/edit", expires="date", until="2001-01-01")

        assert answer.status_code == 422
        assert "This time has passed. Choose a later one, or revoke the key." in answer.text

    def test_of_an_api_with_many_operations_the_first_are_listed(self, developer, session, shop):
        paths = "\n".join(
            f"  /things/{n:03}: {{get: {{responses: {{'200': {{description: x}}}}}}}}" for n in range(205)
        )
        data = f"openapi: 3.1.0\ninfo: {{title: T, version: '1'}}\npaths:\n{paths}\n".encode()
        api = factories.api(session, live=True, name="Many", openapi=factories.openapi_document(session, data))
        factories.subscription(session, shop, api)
        session.commit()

        page = developer.get(f"{C}/keys/new").text

        assert page.count('name="operations"') == 200
        assert "Many v1 has more than the 200 operations that are listed." in page


class TestRotate:
    @pytest.fixture
    def key(self, session, shop, orders) -> Key:
        factories.subscription(session, shop, orders)
        key, _ = factories.key(session, shop, label="laptop", restrictions=Restrictions(read_only=True))
        session.commit()
        return key

    def rotate(self, client, key, **fields):
        url = f"{C}/keys/{key.public_id}/rotate"
        birth = hidden(client.get(url).text, "birth")
        return client.post(url, data={"birth": birth, "stays": "24h", "expires": "never", "label": "new"} | fields)

    def test_shows_the_successor_once_and_how_long_the_old_key_works(self, developer, session, shop, key):
        answer = self.rotate(developer, key)

        old, new = keys_of(session, shop)
        token = re.search(r"pco_[0-9A-Za-z]{12}_[0-9A-Za-z]{33}", answer.text)[0]
        assert answer.status_code == 201
        assert (new.sha256, new.predecessor_id, new.label) == (registry.Token(token).sha256, old.id, "new")
        assert new.read_only
        assert f"works until {old.expires_at:%Y-%m-%d %H:%M}" in answer.text
        assert token not in developer.get(f"{C}/keys/{new.public_id}").text
        assert "being rotated" in developer.get(f"{C}/keys").text
        told = session.scalars(select(Notice).where(Notice.event == "key.rotated")).one()
        assert told.team_id == shop.team_id

    def test_a_leaked_one_is_revoked_at_once(self, developer, session, shop, key):
        answer = self.rotate(developer, key, stays="leaked")

        assert "is revoked. The gateway refuses it within a second" in answer.text
        assert keys_of(session, shop)[0].leaked

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"stays": "date"}, "Choose the last day on which the old key works."),
            ({"stays": "date", "last_day": "soon"}, "Give a day, such as"),
            (
                {"stays": "date", "last_day": "2001-01-01"},
                "This time has passed. Choose a later one, or revoke the old",
            ),
            ({"stays": "date", "last_day": "9999-12-31"}, "Choose an earlier day"),
            ({"expires": "date"}, "Choose the last day on which the new key works."),
            ({"expires": "date", "until": "2001-01-01"}, "This time has passed."),
            ({"expires": "same"}, "Not a valid choice"),
        ],
    )
    def test_what_cannot_be_is_refused_and_kept(self, developer, session, shop, key, fields, sentence):
        answer = self.rotate(developer, key, **fields)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert 'value="new"' in answer.text
        assert len(keys_of(session, shop)) == 1

    def test_a_second_time_is_refused_and_names_the_successor(self, developer, session, shop, key):
        self.rotate(developer, key)
        answer = self.rotate(developer, key)

        assert answer.status_code == 409
        new = keys_of(session, shop)[1]
        assert f"its successor is pco_{new.public_id}_…" in answer.text
        assert len(keys_of(session, shop)) == 2

    def test_the_page_says_which_key_is_still_sent_and_when_the_old_one_may_go(
        self, developer, session, engine, tmp_path, shop, orders, key
    ):
        new, _ = registry.rotate(session, key, by=None, stays_until=utcnow() + timedelta(days=7), expires_at=None)
        session.commit()
        pages = [f"{C}/keys/{each.public_id}" for each in (key, new)]
        assert all("Safe to revoke: it was never used." in developer.get(page).text for page in pages)

        some = [logged.line(orders, shop, key, ago=timedelta(minutes=n), ip="192.0.2.44", ua="cron/1") for n in (30, 3)]
        logged.store(engine, tmp_path, *some, logged.line(orders, shop, new))
        for page in pages:
            text = developer.get(page, headers={"HX-Request": "true"}).text
            assert "Still in use: the last call was 3 minutes ago from 192.0.2.44 by cron/1." in text
            assert re.findall(r'data-label="Calls in 24 h">(\d+)<', text) == ["1", "2"]
            assert re.findall(r'data-label="Share">([\d.]+)', text) == ["33.3", "66.7"]
            assert 'title="3">3<' in text
            assert "<html" not in text

    def test_no_calls_for_a_day_are_safe(self, developer, session, engine, tmp_path, shop, orders, key):
        new, _ = registry.rotate(session, key, by=None, stays_until=utcnow() + timedelta(days=7), expires_at=None)
        session.commit()
        logged.store(engine, tmp_path, logged.line(orders, shop, key, ago=timedelta(hours=25)))

        page = developer.get(f"{C}/keys/{new.public_id}").text

        assert "Safe to revoke: no calls for 24 h. The last one was 1 day ago." in page

    def test_undoing_revokes_the_successor_and_the_old_key_works_on(self, developer, session, shop, key):
        self.rotate(developer, key)
        new = keys_of(session, shop)[1]
        url = f"{C}/keys/{new.public_id}/revoke"
        page = developer.get(url).text
        assert "Undo rotation" in page
        assert "works on without an end, as before" in page

        answer = developer.post(url)

        assert f"pco_{key.public_id}_… works on." in developer.get(answer.location).text
        old, new = keys_of(session, shop)
        assert (old.expires_at, old.revoked_at) == (None, None)
        assert new.revoked_at is not None


class TestList:
    def test_is_searched_and_filtered(self, developer, session, shop):
        kept, _ = factories.key(session, shop, label="laptop")
        gone, _ = factories.key(session, shop, label="server")
        registry.revoke(session, gone)
        session.commit()

        def found(query: str) -> list[str]:
            text = developer.get(f"{C}/keys?{query}").text
            return [each.label for each in (kept, gone) if each.public_id in text]

        assert found("") == ["laptop", "server"]
        assert found("state=working") == ["laptop"]
        assert found("state=dead") == ["server"]
        assert found("q=SERV") == ["server"]
        assert found(f"q=pco_{kept.public_id}") == ["laptop"]
        assert "No key fits" in developer.get(f"{C}/keys?q=foreign").text

    def test_pages_meet_and_cost_the_same_with_a_thousand_keys(self, app, developer, session, shop, orders):
        factories.subscription(session, shop, orders)
        for n in range(120):
            factories.key(session, shop, label=f"number {n}", restrictions=Restrictions(addresses=("10.0.0.0/8",)))
        session.commit()

        def statements(address: str) -> int:
            made: list[str] = []
            with app.app_context():
                engine = db.engine
            listen = lambda *args: made.append(args[2])  # noqa: E731 - it is taken off again
            event.listen(engine, "before_cursor_execute", listen)
            try:
                assert developer.get(address).status_code == 200
            finally:
                event.remove(engine, "before_cursor_execute", listen)
            return len(made)

        few, many = statements(f"{C}/keys?q=number+119"), statements(f"{C}/keys")
        assert many <= few + 2
        assert statements(C) < 40
        seen, address = [], f"{C}/keys"
        while address:
            page = developer.get(address).text
            seen += re.findall(r">(number \d+)<", page)
            following = re.search(r'rel="next" href="([^"]+)"', page)
            address = following[1].replace("&amp;", "&") if following else ""
        assert seen == [f"number {n}" for n in reversed(range(120))]


class TestUnused:
    @pytest.fixture
    def house(self, session, engine, tmp_path, shop, orders, noise) -> dict[str, Key]:
        long_ago = utcnow() - timedelta(days=200)
        keys = {name: factories.key(session, shop, label=name)[0] for name in ("never", "old", "busy", "young", "dead")}
        for name in ("never", "old", "busy", "dead"):
            keys[name].created_at = long_ago
        noise.keys[0].created_at = long_ago
        registry.revoke(session, keys["dead"])
        session.commit()
        logged.store(
            engine,
            tmp_path,
            logged.line(orders, shop, keys["old"], ago=timedelta(days=100)),
            logged.line(orders, shop, keys["busy"], ago=timedelta(days=1), **refused(st=429, f="RL")),
        )
        return keys

    def found(self, client, query: str) -> set[str]:
        return set(
            re.findall(r'sub">(never|old|busy|young|dead|foreign)<', client.get(f"/consumers/unused-keys?{query}").text)
        )

    def test_are_those_of_own_teams_that_work_and_were_not_used_for_so_long(self, client, cast, house):
        sign_in(client, cast.developer)
        assert self.found(client, "") == {"never", "old"}
        assert self.found(client, "days=180") == {"never"}
        assert self.found(client, "days=7&only=never") == {"never"}
        assert self.found(client, "team=cast") == {"never", "old"}
        assert self.found(client, "team=nobody") == set()
        assert client.get("/consumers/unused-keys?days=8").status_code == 400
        sign_in(client, cast.administrator)
        assert self.found(client, "") == {"never", "old", "foreign"}
        sign_in(client, cast.stranger)
        assert "No unused keys" in client.get("/consumers/unused-keys").text

    def test_chosen_ones_are_revoked_together_once_it_was_asked(self, developer, session, shop, house, noise):
        chosen = [house[name].public_id for name in ("never", "old", "busy")] + [noise.keys[0].public_id]
        query = "&".join(f"key={each}" for each in chosen)
        page = developer.get(f"/consumers/revoke-unused-keys?days=90&{query}").text
        assert "Revoke 2 keys" in page
        assert [each.revoked_at for each in keys_of(session, shop) if each.label != "dead"] == [None] * 4

        answer = developer.post("/consumers/revoke-unused-keys", data={"days": "90", "key": chosen})

        assert "2 keys are revoked. 2 stayed: used or revoked meanwhile." in developer.get(answer.location).text
        assert {each.label for each in keys_of(session, shop) if each.revoked_at} == {"never", "old", "dead"}
        assert noise.keys[0].revoked_at is None

    def test_nothing_chosen_is_said(self, developer, house):
        answer = developer.get("/consumers/revoke-unused-keys")

        assert answer.status_code == 303
        assert "Choose the keys to revoke first." in developer.get(answer.location).text


class TestLeaked:
    def test_the_page_says_where_it_was_found(self, developer, session, shop):
        key, _ = factories.key(session, shop)
        registry.revoke(session, key, leaked=True, found_at="github.com/<b>")
        session.commit()

        page = developer.get(f"{C}/keys/{key.public_id}").text

        assert "because it leaked. It was found here: github.com/&lt;b&gt;" in page
        assert "Rotate" not in page
