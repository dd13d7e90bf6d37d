from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy import select

from portal import registry
from portal.accounts.audit import AuditEntry
from portal.db import utcnow
from portal.errors import Conflict, InUse, Invalid, NameTaken
from portal.registry.models import Revision, SecretKind, UpstreamSecret
from portal.registry.secrets import open_secret
from portal.vault import Vault
from tests import factories
from tests.registry.test_document import wrong

VAULT = Vault(["k" * 40])
AUTHORITY = trustme.CA()


def store(session, team, name="orders-token", kind=SecretKind.HEADER, **texts):
    texts = texts or {"value": "hush-hush"}
    secret = registry.store_secret(session, team, name=name, kind=kind, texts=texts, vault=VAULT, by=None)
    session.flush()
    return secret


def wanting(secret="orders-token", url="http://orders.example", **credential):
    credential = {"kind": "header", "secret": secret, "header": "X-Token"} | credential
    return {"targets": [{"url": url}], "credential": {k: v for k, v in credential.items() if v is not None}}


def revision_of(session):
    return session.scalar(select(Revision.n))


def pair(**more):
    certificate = AUTHORITY.issue_cert("portico.internal", **more)
    chain = "".join(blob.bytes().decode() for blob in certificate.cert_chain_pems)
    return chain, certificate.private_key_pem.bytes().decode()


class TestStore:
    def test_the_row_does_not_hold_the_text_and_the_vault_gives_it_back(self, session):
        secret = store(session, factories.team(session))

        assert b"hush-hush" not in secret.sealed
        assert open_secret(secret.sealed, VAULT) == {"value": "hush-hush"}

    def test_nodes_are_told_of_each_value(self, session):
        secret = store(session, factories.team(session))
        session.commit()
        before, edition = revision_of(session), secret.edition

        registry.replace_secret(session, secret, texts={"value": "another"}, vault=VAULT, by=None)
        session.commit()

        assert revision_of(session) == before + 1
        assert secret.edition != edition
        assert open_secret(secret.sealed, VAULT) == {"value": "another"}

    def test_a_name_belongs_to_one_secret_of_a_team(self, session):
        team = factories.team(session)
        store(session, team)
        store(session, factories.team(session))

        with pytest.raises(NameTaken, match="already has a secret orders-token"):
            store(session, team)

    @pytest.mark.parametrize(
        ("kind", "texts", "field"),
        [
            (SecretKind.HEADER, {"value": ""}, "value"),
            (SecretKind.HEADER, {"value": "two\nlines"}, "value"),
            (SecretKind.HEADER, {"value": " around "}, "value"),
            (SecretKind.HEADER, {"value": "schlüssel"}, "value"),
            (SecretKind.HEADER, {"value": "x" * 5000}, "value"),
            (SecretKind.BASIC, {"user": "a:b", "password": "x"}, "user"),
            (SecretKind.BASIC, {"user": "", "password": ""}, "user"),
            (SecretKind.BASIC, {"user": "a", "password": "x\r\ny"}, "password"),
            (SecretKind.CLIENT_CERTIFICATE, {"chain_pem": "", "key_pem": ""}, "key_pem"),
        ],
    )
    def test_what_no_upstream_could_be_sent_is_refused(self, session, kind, texts, field):
        with pytest.raises(Invalid) as wrong:
            store(session, factories.team(session), kind=kind, **texts)

        assert field in wrong.value.fields
        assert all(text not in str(wrong.value) for text in texts.values() if len(text) > 1)

    def test_the_trail_says_that_it_changed_and_not_to_what(self, session):
        team = factories.team(session)
        secret = store(session, team)
        session.commit()
        registry.replace_secret(session, secret, texts={"value": "hush-again"}, vault=VAULT, by=None)
        session.commit()

        entries = session.scalars(select(AuditEntry).where(AuditEntry.kind == "upstream_secret")).all()

        assert [(entry.action, entry.label, entry.changes["sealed"]) for entry in entries] == [
            ("created", f"{team.slug}/orders-token", [None, "…"]),
            ("changed", f"{team.slug}/orders-token", ["…", "…"]),
        ]


class TestClientCertificate:
    def keep(self, session, chain, key):
        return store(session, factories.team(session), kind=SecretKind.CLIENT_CERTIFICATE, chain_pem=chain, key_pem=key)

    def refusal(self, session, chain, key):
        with pytest.raises(Invalid) as wrong:
            self.keep(session, chain, key)
        assert key.splitlines()[1] not in str(wrong.value)
        return wrong.value.fields

    def test_a_pair_is_kept_with_the_day_it_ends(self, session):
        chain, key = pair(not_after=datetime(2090, 5, 6, tzinfo=UTC))

        secret = self.keep(session, f"subject=/CN=x\r\n{chain}", key)

        assert secret.expires_at == datetime(2090, 5, 6, tzinfo=UTC)
        kept = open_secret(secret.sealed, VAULT)
        assert kept["chain_pem"].startswith("-----BEGIN CERTIFICATE-----\n")
        assert kept["key_pem"].startswith("-----BEGIN PRIVATE KEY-----\n")

    def test_a_key_of_another_certificate_is_refused(self, session):
        assert "another certificate" in self.refusal(session, pair()[0], pair()[1])["key_pem"]

    def test_a_certificate_that_has_expired_is_refused(self, session):
        chain, key = pair(not_before=datetime(2001, 1, 1, tzinfo=UTC), not_after=datetime(2002, 2, 3, tzinfo=UTC))

        assert "expired on 03 February 2002" in self.refusal(session, chain, key)["chain_pem"]

    def test_a_certificate_of_tomorrow_is_refused(self, session):
        chain, key = pair(not_before=utcnow() + timedelta(days=1))

        assert "not valid before" in self.refusal(session, chain, key)["chain_pem"]

    def test_what_is_no_pem_is_refused(self, session):
        fields = self.refusal(session, "no certificate", "-----BEGIN\nn0nsense")

        assert "in PEM form" in fields["chain_pem"]
        assert "in PEM form" in fields["key_pem"]

    def test_a_locked_key_is_refused(self, session):
        chain, key = pair()
        locked = load_pem_private_key(key.encode(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
        )

        assert "locked with a passphrase" in self.refusal(session, chain, locked.decode())["key_pem"]

    def test_a_kind_of_key_that_envoy_does_not_take_is_refused(self, session):
        chain, _ = pair()
        key = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

        assert "cannot use a key of this kind" in self.refusal(session, chain, key.decode())["key_pem"]


class TestUse:
    def test_a_release_cannot_name_what_the_team_does_not_have(self, session):
        team = factories.team(session)
        store(session, factories.team(session))
        api = factories.api(session, team=team, upstream=wanting())

        with pytest.raises(Conflict, match=r"names the secret orders-token, which .* does not have"):
            registry.publish(session, api, by=None, expected=api.draft_number)

    def test_a_release_cannot_name_a_secret_of_another_kind(self, session):
        team = factories.team(session)
        store(session, team, kind=SecretKind.BASIC, user="a", password="b")
        api = factories.api(session, team=team, upstream=wanting())

        with pytest.raises(Conflict, match="of another kind"):
            registry.publish(session, api, by=None, expected=api.draft_number)

    def test_what_a_draft_or_a_live_release_names_is_not_deleted(self, session):
        team = factories.team(session)
        secret = store(session, team)
        factories.api(session, team=team)
        live = factories.api(session, team=team, slug="live", upstream=wanting(), live=True)
        registry.save_draft(session, live, factories.document(), by=None, expected=live.draft_number)

        with pytest.raises(InUse, match=r"named by 1 API \(live v1\)"):
            registry.delete_secret(session, secret)

        registry.unpublish(session, live)
        registry.delete_secret(session, secret)
        session.commit()
        assert session.scalars(select(UpstreamSecret)).all() == []

    def test_goes_with_its_team(self, session):
        team = factories.team(session)
        store(session, team)
        registry.delete_team(session, team)
        session.commit()

        assert session.scalars(select(UpstreamSecret)).all() == []


class TestDocument:
    @pytest.mark.parametrize(
        "header",
        ["Host", "User-Agent", "X-Request-Id", "X-Consumer-Id", "X_Token", "a-b-c-d-e-f-g", "Content-Type", ""],
    )
    def test_headers_with_a_meaning_carry_no_secret(self, header):
        assert list(wrong(upstream=wanting(header=header))) == ["upstream.credential.header"]

    @pytest.mark.parametrize("credential", [{"header": None}, {"kind": "basic"}])
    def test_a_header_is_named_exactly_when_one_is_needed(self, credential):
        with pytest.raises(Invalid, match="name of"):
            factories.document(upstream=wanting(**credential))

    def test_a_certificate_is_for_https(self):
        certificate = {"kind": "client_certificate", "header": None}

        assert factories.document(upstream=wanting(url="https://a.example", **certificate)).upstream.credential
        with pytest.raises(Invalid, match="https targets only"):
            factories.document(upstream=wanting(**certificate))

    def test_a_document_without_one_is_stored_as_ever(self):
        assert "credential" not in factories.document().as_json()["upstream"]

    def test_differences_name_the_secret(self):
        before, after = (factories.document(name="x", path="/x", upstream=wanting(name)) for name in ("one", "two"))

        assert registry.differences(before, after) == [
            registry.Difference(
                "Credential for the targets",
                "header X-Token, from the secret one",
                "header X-Token, from the secret two",
            )
        ]
