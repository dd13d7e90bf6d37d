"""The pages of upstream secrets: what is stored there is never shown, not even to who has just typed it."""

import pytest
import trustme
from sqlalchemy import select

from portal import registry
from portal.registry.models import Api, SecretKind, UpstreamSecret
from portal.registry.secrets import open_secret
from portal.vault import Vault
from tests import factories
from tests.conftest import sign_in

HERE = "/settings/teams/cast/secrets"
UPSTREAM = {"targets": [{"url": "http://orders.example:8080"}]}


@pytest.fixture
def publisher(client, cast):
    return sign_in(client, cast.publisher)


@pytest.fixture
def opened(session, config):
    """The texts of the one secret that is stored."""

    def texts():
        session.rollback()
        return open_secret(session.scalars(select(UpstreamSecret.sealed)).one(), Vault.of(config))

    return texts


class TestStore:
    @pytest.mark.parametrize(
        ("kind", "texts"),
        [("header", {"value": "hush-hush"}), ("basic", {"user": "portico", "password": "  hush: hush "})],
    )
    def test_it_is_kept_as_typed_and_listed_without_its_value(self, publisher, opened, kind, texts):
        answer = publisher.post(f"{HERE}/new/{kind}", data={"name": "orders-token"} | texts)

        assert (answer.status_code, answer.location) == (303, HERE)
        assert opened() == texts
        page = publisher.get(HERE).text
        assert "orders-token" in page
        assert "hush" not in page

    def test_a_client_certificate_says_when_it_ends(self, publisher, session):
        ours = trustme.CA().issue_cert("portico.internal")
        pair = {
            "chain_pem": ours.cert_chain_pems[0].bytes().decode().replace("\n", "\r\n"),
            "key_pem": ours.private_key_pem.bytes().decode().replace("\n", "\r\n"),
        }

        assert publisher.post(f"{HERE}/new/client_certificate", data={"name": "ours"} | pair).status_code == 303

        session.rollback()
        stored = session.scalars(select(UpstreamSecret)).one()
        assert stored.expires_at.isoformat(timespec="minutes")[:16] in publisher.get(HERE).text

    @pytest.mark.parametrize(
        ("kind", "texts", "sentence", "kept"),
        [
            ("header", {"value": "hüsh"}, "one line of letters", ""),
            ("basic", {"user": "a:b", "password": "hush"}, "holds no colon", "a:b"),
            ("client_certificate", {"chain_pem": "chain", "key_pem": "hush"}, "not a private key", "chain"),
        ],
    )
    def test_what_cannot_be_used_is_refused_and_the_secret_part_is_not_sent_back(
        self, publisher, session, kind, texts, sentence, kept
    ):
        answer = publisher.post(f"{HERE}/new/{kind}", data={"name": "orders-token"} | texts)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert "orders-token" in answer.text
        assert kept in answer.text
        assert not {"hush", "hüsh"} & set(answer.text.replace('"', " ").replace("<", " ").replace(">", " ").split())
        assert session.scalars(select(UpstreamSecret)).all() == []

    def test_a_taken_name_is_told_beside_the_field(self, publisher, session, cast):
        factories.upstream_secret(session, team=cast.team, name="orders-token")
        session.commit()

        answer = publisher.post(f"{HERE}/new/header", data={"name": "orders-token", "value": "hush-hush"})

        assert answer.status_code == 409
        assert "already has a secret orders-token" in answer.text
        assert "hush-hush" not in answer.text

    def test_nobody_stores_one_for_a_team_that_may_not_publish(self, publisher, session, cast):
        session.merge(cast.team).may_publish = False
        session.commit()

        answer = publisher.post(f"{HERE}/new/header", data={"name": "orders-token", "value": "hush"})
        assert answer.status_code == 403


class TestList:
    def test_an_empty_one_says_what_would_be_here(self, publisher):
        assert "No secrets yet" in publisher.get(HERE).text

    def test_tells_which_apis_name_each(self, publisher, session, cast):
        factories.upstream_secret(session, team=cast.team, name="taken")
        factories.upstream_secret(session, team=cast.team, name="spare")
        credential = {"kind": "header", "secret": "taken", "header": "X-Token"}
        factories.api(session, team=cast.team, name="Parcels", upstream=UPSTREAM | {"credential": credential})
        session.commit()

        page = publisher.get(HERE).text

        assert "Parcels v1" in page.split(">taken<")[1]
        assert "Parcels v1" not in page.split(">taken<")[0]
        assert page.count("no API") == 1

    def test_a_long_one_has_pages(self, publisher, session, cast):
        for n in range(60):
            factories.upstream_secret(session, team=cast.team, name=f"secret-{n:03}")
        session.commit()

        page = publisher.get(HERE).text
        assert "secret-049" in page
        assert "secret-050" not in page
        assert "Next" in page

    def test_a_developer_sees_names_and_no_buttons(self, client, session, cast):
        factories.upstream_secret(session, team=cast.team, name="orders-token")
        session.commit()

        page = sign_in(client, cast.developer).get(HERE).text

        assert "orders-token" in page
        assert "Replace" not in page
        assert "Store header" not in page


class TestReplace:
    def test_the_new_value_is_kept_and_the_old_one_never_shown(self, publisher, session, cast, opened, config):
        factories.upstream_secret(
            session, team=cast.team, name="it", vault=Vault.of(config), texts={"value": "old-one"}
        )
        session.commit()

        form = publisher.get(f"{HERE}/it")
        assert "old-one" not in form.text
        assert publisher.post(f"{HERE}/it", data={"value": "new-one"}).status_code == 303

        assert opened() == {"value": "new-one"}
        assert cast.publisher.name in publisher.get(HERE).text

    def test_nothing_typed_replaces_nothing(self, publisher, session, cast, opened, config):
        factories.upstream_secret(session, team=cast.team, name="it", vault=Vault.of(config))
        session.commit()

        assert publisher.post(f"{HERE}/it", data={"value": ""}).status_code == 422
        assert opened() == {"value": "hush"}


class TestDelete:
    def test_its_name_is_typed_and_it_is_gone(self, client, session, cast):
        factories.upstream_secret(session, team=cast.team, name="it")
        session.commit()
        owner = sign_in(client, cast.owner)

        assert owner.post(f"{HERE}/it/delete", data={"confirm": "that"}).status_code == 422
        assert owner.post(f"{HERE}/it/delete", data={"confirm": "it"}).status_code == 303
        session.rollback()
        assert session.scalars(select(UpstreamSecret)).all() == []

    def test_one_that_an_api_names_stays(self, client, session, cast):
        factories.upstream_secret(session, team=cast.team, name="it")
        credential = {"kind": "header", "secret": "it", "header": "X-Token"}
        factories.api(session, team=cast.team, slug="parcels", upstream=UPSTREAM | {"credential": credential})
        session.commit()

        answer = sign_in(client, cast.owner).post(f"{HERE}/it/delete", data={"confirm": "it"})

        assert answer.status_code == 409
        assert "named by 1 API (parcels v1)" in answer.text


class TestDocument:
    @pytest.fixture
    def api(self, session, cast):
        factories.upstream_secret(session, team=cast.team, name="token")
        factories.upstream_secret(
            session, team=cast.team, name="pair", kind=SecretKind.BASIC, texts={"user": "a", "password": "b"}
        )
        factories.upstream_secret(session, team=factories.team(session), name="anothers")
        api = factories.api(session, team=cast.team, slug="orders", name="Orders", path="/orders")
        session.commit()
        return api

    def save(self, client, **fields):
        sent = {
            "number": "1",
            "name": "Orders",
            "path": "/orders",
            "target_0_url": "http://orders.example:8080",
            "target_0_weight": "1",
            "tls_verify": "y",
            "connect_timeout": "5",
            "first_byte_timeout": "30",
            "idle_timeout": "300",
            "retries": "1",
            "ways": "key",
            "key_place": "header",
            "key_name": "X-API-Key",
            "body_limit": "10",
        }
        return client.post("/apis/cast/orders/v1/document", data=sent | fields)

    def credential(self, session, api):
        session.rollback()
        return registry.read_document(api.draft).upstream.credential

    def test_offers_the_teams_own_secrets_by_kind(self, publisher, api):
        page = publisher.get("/apis/cast/orders/v1/document").text

        assert "token (header)" in page
        assert "pair (basic)" in page
        assert "anothers" not in page

    def test_names_the_chosen_one_and_the_publish_page_says_so(self, publisher, session, api):
        assert self.save(publisher, credential="token", credential_header="X-Token").status_code == 303

        assert self.credential(session, api).model_dump() == {"kind": "header", "secret": "token", "header": "X-Token"}
        assert "header X-Token, from the secret token" in publisher.get("/apis/cast/orders/v1/publish").text

    def test_basic_needs_no_header(self, publisher, session, api):
        assert self.save(publisher, credential="pair", credential_header="X-Left-Over").status_code == 303

        assert self.credential(session, api).header is None

    @pytest.mark.parametrize(
        ("header", "sentence"), [("", "Give the name of the header"), ("Host", "meaning of its own")]
    )
    def test_a_header_that_does_not_fit_is_told_beside_the_field(self, publisher, api, header, sentence):
        answer = self.save(publisher, credential="token", credential_header=header)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert '<option selected value="token">' in answer.text

    def test_one_that_is_not_the_teams_cannot_be_chosen(self, publisher, session, api):
        assert self.save(publisher, credential="anothers").status_code == 422
        assert self.credential(session, api) is None

    def test_one_that_is_gone_is_still_told_and_not_published(self, publisher, session, cast, api):
        credential = {"kind": "header", "secret": "lost", "header": "X-Token"}
        lost = factories.document(name="Orders", path="/orders", upstream=UPSTREAM | {"credential": credential})
        registry.save_draft(session, api, lost, by=None, expected=1)
        session.commit()

        assert "lost (gone)" in publisher.get("/apis/cast/orders/v1/document").text
        answer = publisher.post("/apis/cast/orders/v1/publish", data={"number": "2"})
        assert answer.status_code == 409
        assert "names the secret lost, which The Cast does not have" in answer.text


class TestNewApi:
    FORM = {
        "team": "cast",
        "name": "Orders",
        "version": "v1",
        "target_0_url": "https://orders.example",
        "target_0_weight": "1",
        "tls_verify": "y",
        "connect_timeout": "5",
        "first_byte_timeout": "30",
        "idle_timeout": "300",
        "retries": "1",
        "ways": "key",
        "key_place": "header",
        "key_name": "X-API-Key",
        "body_limit": "10",
    }

    @pytest.fixture
    def secrets(self, session, cast):
        factories.upstream_secret(session, team=cast.team, name="token")
        factories.upstream_secret(
            session, team=cast.team, name="pair", kind=SecretKind.BASIC, texts={"user": "a", "password": "b"}
        )
        factories.upstream_secret(session, team=factories.team(session), name="anothers")
        session.commit()

    def api(self, session):
        session.rollback()
        return session.scalar(select(Api).where(Api.slug == "orders"))

    def test_without_secrets_a_line_says_where_they_are_made(self, publisher):
        page = publisher.get("/apis/new").text

        assert "None is stored there yet." in page
        assert '<a href="/settings/teams/cast/secrets">The Cast</a>' in page
        assert 'name="credential"' not in page

    def test_offers_those_of_the_persons_publishing_teams_only(self, publisher, secrets):
        page = publisher.get("/apis/new").text

        assert '<option value="cast/token">token (header)</option>' in page
        assert '<option value="cast/pair">pair (basic)</option>' in page
        assert "anothers" not in page
        assert "None is stored there yet." not in page

    def test_the_chosen_one_is_named_and_published(self, publisher, session, secrets):
        chosen = {"credential": "cast/token", "credential_header": "X-Token", "publish": "1"}

        assert publisher.post("/apis/new", data=self.FORM | chosen).status_code == 303

        api = self.api(session)
        assert api.draft["upstream"]["credential"] == {"kind": "header", "secret": "token", "header": "X-Token"}
        assert api.live_release.document == api.draft

    def test_none_is_fine_too(self, publisher, session, secrets):
        assert publisher.post("/apis/new", data=self.FORM | {"credential": ""}).status_code == 303
        assert "credential" not in self.api(session).draft["upstream"]

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ({"credential": "cast/token"}, "Give the name of the header"),
            ({"credential": "cast/token", "credential_header": "X-Consumer-Id"}, "meaning of its own"),
            ({"credential": "cast/lost"}, "Not a valid choice"),
        ],
    )
    def test_what_does_not_fit_is_told_and_what_was_typed_is_kept(self, publisher, session, secrets, typed, sentence):
        answer = publisher.post("/apis/new", data=self.FORM | typed)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert "https://orders.example" in answer.text
        assert self.api(session) is None

    def test_one_of_another_own_team_is_refused_with_its_name(self, publisher, session, cast, secrets):
        second = factories.team(session, slug="second", name="The Second", owner=cast.publisher)
        factories.upstream_secret(session, team=second, name="theirs")
        session.commit()

        assert "theirs (header), of The Second" in publisher.get("/apis/new").text
        answer = publisher.post(
            "/apis/new", data=self.FORM | {"credential": "second/theirs", "credential_header": "X-Token"}
        )

        assert answer.status_code == 422
        assert "theirs belongs to another team than the API" in answer.text
        assert '<option selected value="second/theirs">' in answer.text

    def test_adding_a_target_keeps_the_choice(self, publisher, secrets):
        page = publisher.post("/apis/new", data=self.FORM | {"credential": "cast/pair", "targets": "add"}).text

        assert '<option selected value="cast/pair">' in page


def test_what_envoy_gets_is_shown_with_masks(client, session, cast, config):
    vault = Vault.of(config)
    ours = trustme.CA().issue_cert("portico.internal")
    chain, key = ours.cert_chain_pems[0].bytes().decode(), ours.private_key_pem.bytes().decode()
    factories.upstream_secret(session, team=cast.team, name="token", vault=vault, texts={"value": "hush-hush"})
    factories.upstream_secret(
        session,
        team=cast.team,
        name="ours",
        vault=vault,
        kind=SecretKind.CLIENT_CERTIFICATE,
        texts={"chain_pem": chain, "key_pem": key},
    )
    for number, credential in enumerate(
        ({"kind": "header", "secret": "token", "header": "X-Token"}, {"kind": "client_certificate", "secret": "ours"})
    ):
        upstream = {"targets": [{"url": f"https://{number}.example"}], "ca_pem": chain, "credential": credential}
        factories.api(session, team=cast.team, live=True, upstream=upstream)
    session.commit()
    administrator = sign_in(client, cast.administrator)

    shown = {
        name: [administrator.get(f"/gateway/files/{name}{more}").text for more in ("", "?download=1")]
        for name in ("rds/rds.json", "cds/cds.json")
    }

    assert all("x-token" in text and "…" in text for text in shown["rds/rds.json"])
    assert all("tls_certificates" in text for text in shown["cds/cds.json"])
    everything = str(shown)
    assert "hush-hush" not in everything
    assert key.splitlines()[1] not in everything
    assert "PRIVATE KEY" not in everything
