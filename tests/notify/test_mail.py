"""Mail as queued work: composed and sealed in a transaction, delivered by the worker."""

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from portal import config_of, jobs, letters, notify, worker
from portal.db import db, utcnow
from portal.jobs import Job
from portal.notify import NotSent
from portal.notify.delivery import may_go_plain
from portal.notify.mail import compose
from portal.programs import free_port
from tests import factories
from tests.notify.server import PASSWORD, REFUSED, USER, certified, mail_server

ROOT = Path(__file__).parent.parent.parent
LINK = "https://portal.example/sign-in/forgot/" + "secret-token." * 12
TEXT = f"Open this link:\n\n{LINK}\n"
LOGIN = f"{USER.decode()}:p%40ss%2Fword"


def enqueue(session, config, to="ada@portico.example", subject="Your link") -> None:
    notify.mail(session, config, to=to, subject=subject, text=TEXT)
    session.commit()


def work(app, config) -> Job | None:
    """Let the worker do what is due; the job that is left, if any."""
    with app.app_context():
        assert worker.turn(config, "test")
        left = db.session.scalars(select(Job)).first()
        if left is not None:
            db.session.expunge(left)
        return left


class TestQueue:
    def test_a_waiting_mail_shows_neither_link_nor_address(self, session, config):
        enqueue(session, config)

        job = session.scalars(select(Job)).one()
        assert job.kind == "mail"
        assert set(job.payload) == {"sealed"}
        assert "secret-token" not in str(job.payload)
        assert "ada" not in str(job.payload)

    def test_what_is_rolled_back_is_never_sent(self, session, config):
        notify.mail(session, config, to="ada@portico.example", subject="S", text="T")
        session.rollback()

        assert session.scalars(select(Job)).all() == []

    @pytest.mark.parametrize(
        ("to", "subject"),
        [
            ("ada@portico.example\r\nBcc: eve@portico.example", "Hello"),
            ("ada@portico.example, eve@portico.example", "Hello"),
            ("ada@portico.example", "Hello\r\nBcc: eve@portico.example"),
            ("ada@portico.example", "Hello\nBcc: eve@portico.example"),
        ],
    )
    def test_nobody_adds_a_header(self, session, config, to, subject):
        with pytest.raises(ValueError):  # noqa: PT011 - the library says it in several ways
            notify.mail(session, config, to=to, subject=subject, text="T")

    def test_a_message_is_whole(self, config):
        now = datetime(2026, 5, 17, 12, tzinfo=UTC)
        message = compose(
            replace(config, mail_from="Portico <portico@portal.example>"),
            to="ada@portico.example",
            subject="Grüße",
            text=TEXT,
            now=now,
        )

        read = message_from_bytes(message.as_bytes(), policy=default)
        assert (read["From"], read["To"]) == ("Portico <portico@portal.example>", "ada@portico.example")
        assert (read["Subject"], read["Date"].datetime) == ("Grüße", now)
        assert read["Message-ID"].endswith("@portal.example>")
        assert read.get_content().replace("\r\n", "\n") == TEXT
        assert LINK.encode() in message.as_bytes()  # whole, on one line


class TestFiles:
    def test_without_a_server_mail_is_written_where_only_the_owner_reads_it(self, app, session, config):
        enqueue(session, config, to="jürg@portico.example")

        assert work(app, config) is None
        (file,) = (config.data_dir / "mail").iterdir()
        assert file.suffix == ".eml"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        read = message_from_bytes(file.read_bytes(), policy=default)
        assert read["To"] == "jürg@portico.example"
        assert LINK in read.get_content()

    def test_a_link_stays_whole_beside_letters_beyond_ascii(self, app, session, config):
        notify.mail(session, config, to="ada@portico.example", subject="S", text=f"Grüße\n{LINK}\n")
        session.commit()

        assert work(app, config) is None
        (file,) = (config.data_dir / "mail").iterdir()
        assert f"Grüße\r\n{LINK}\r\n".encode() in file.read_bytes()

    def test_the_same_mail_twice_is_one_file(self, session, config):
        enqueue(session, config)
        payload = session.scalars(select(Job)).one().payload

        for _ in range(2):
            notify.send(config, payload)

        assert len(list((config.data_dir / "mail").iterdir())) == 1

    def test_a_folder_that_cannot_be_written_is_said(self, session, config):
        enqueue(session, config)
        (config.data_dir / "mail").write_text("in the way")

        with pytest.raises(NotSent, match=r"cannot be written to .*mail: File exists"):
            notify.send(config, session.scalars(select(Job)).one().payload)


class TestServer:
    def test_plain_to_this_machine(self, app, session, config):
        with mail_server() as letterbox:
            enqueue(session, config)

            assert work(app, replace(config, smtp_url=f"smtp://localhost:{letterbox.port}")) is None

        assert letterbox.recipients == ["ada@portico.example"]
        assert [mail.get_content().replace("\r\n", "\n") for mail in letterbox.mails] == [TEXT]

    def test_starttls_and_sign_in(self, app, session, config, tmp_path, monkeypatch):
        context, authority = certified(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", authority)
        with mail_server(starttls=context, auth_required=True) as letterbox:
            enqueue(session, config)

            assert work(app, replace(config, smtp_url=f"smtp://{LOGIN}@localhost:{letterbox.port}")) is None

        assert letterbox.recipients == ["ada@portico.example"]

    def test_tls_from_the_first_byte(self, app, session, config, tmp_path, monkeypatch):
        context, authority = certified(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", authority)
        with mail_server(tls=context) as letterbox:
            enqueue(session, config)

            assert work(app, replace(config, smtp_url=f"smtps://localhost:{letterbox.port}")) is None

        assert letterbox.recipients == ["ada@portico.example"]

    def test_a_certificate_of_nobody_we_trust_is_refused(self, app, session, config, tmp_path):
        context, _ = certified(tmp_path)
        with mail_server(starttls=context) as letterbox:
            enqueue(session, config)

            left = work(app, replace(config, smtp_url=f"smtp://localhost:{letterbox.port}"))

        assert left is not None
        assert "is not trusted" in left.error
        assert letterbox.mails == []

    def test_a_password_is_never_sent_in_clear(self, app, session, config):
        with mail_server() as letterbox:
            enqueue(session, config)

            left = work(app, replace(config, smtp_url=f"smtp://{LOGIN}@localhost:{letterbox.port}"))

        assert left is not None
        assert "offers no encryption" in left.error
        assert letterbox.mails == []

    @pytest.mark.parametrize(
        ("url", "may"),
        [
            ("smtp://localhost:25", True),
            ("smtp://127.0.0.1", True),
            ("smtp://[::1]:25", True),
            ("smtp://localhost.evil.example", False),
            ("smtp://mail.portico.example:25", False),
            ("smtp://10.0.0.1", False),
            ("smtp://user:word@localhost:25", False),
        ],
    )
    def test_only_this_machine_is_spoken_to_without_encryption(self, url, may):
        assert may_go_plain(urlsplit(url)) is may


class TestFailure:
    """A mail that cannot be sent is kept and tried again, and its row tells no secret."""

    def check(self, left: Job | None, caplog, says: str) -> None:
        assert left is not None
        assert says in left.error
        assert left.attempts == 1
        assert left.failed_at is None
        assert left.run_at > utcnow()
        told = left.error + caplog.text
        for secret in ("secret-token", "wrong-word", PASSWORD.decode(), "ada@", REFUSED):
            assert secret not in told

    def test_a_refused_sign_in(self, app, session, config, tmp_path, monkeypatch, caplog):
        context, authority = certified(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", authority)
        with mail_server(starttls=context, auth_required=True) as letterbox:
            enqueue(session, config)
            left = work(app, replace(config, smtp_url=f"smtp://portico:wrong-word@localhost:{letterbox.port}"))

        self.check(left, caplog, "refused user and password of PORTAL_SMTP_URL (535).")
        assert letterbox.mails == []

    def test_a_refused_recipient(self, app, session, config, caplog):
        with mail_server() as letterbox:
            enqueue(session, config, to=REFUSED)
            left = work(app, replace(config, smtp_url=f"smtp://localhost:{letterbox.port}"))

        self.check(left, caplog, "does not take mail for this address (550 5.1.1).")

    def test_a_server_that_is_away_and_comes_back(self, app, session, config, caplog):
        port = free_port()
        away = replace(config, smtp_url=f"smtp://localhost:{port}")
        enqueue(session, config)

        self.check(work(app, away), caplog, "cannot be reached: Connection refused.")
        job = session.scalars(select(Job)).one()
        job.run_at = utcnow()  # as if the pause were over
        session.commit()
        with mail_server(port=port) as letterbox:
            assert work(app, away) is None

        assert letterbox.recipients == ["ada@portico.example"]

    def test_keys_that_cannot_open_it(self, app, session, config, caplog):
        enqueue(session, config)

        left = work(app, replace(config, encryption_keys=("another key of 32 characters or more",)))

        self.check(left, caplog, "A stored secret cannot be read")

    def test_it_is_given_up_after_the_last_attempt_and_stays_to_be_seen(self, app, session, config):
        enqueue(session, config)
        job = session.scalars(select(Job)).one()
        job.attempts = jobs.most_attempts(job.kind) - 1
        session.commit()

        left = work(app, replace(config_of(app), smtp_url=f"smtp://localhost:{free_port()}"))

        assert left is not None
        assert left.failed_at is not None


class TestProcess:
    def test_a_worker_sends_what_was_asked_for(self, app, session, config):
        with mail_server() as letterbox:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
                "PORTAL_DATA_DIR": str(config.data_dir),
                "PORTAL_SMTP_URL": f"smtp://localhost:{letterbox.port}",
            }
            with app.app_context():
                factories.person(session, email="ada@portico.example")
                letters.ask_for_link(session, "reset", "ada@portico.example")
                session.commit()
            process = subprocess.Popen(
                [sys.executable, "-m", "flask", "worker", "run"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                until = time.monotonic() + 60
                while not letterbox.mails:
                    assert process.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.05)
            finally:
                process.send_signal(signal.SIGTERM)
                said, _ = process.communicate(timeout=30)

        assert "http://127.0.0.1:8000/sign-in/forgot/" in letterbox.mails[0].get_content()
        assert "ada@" not in said
        assert "/sign-in/forgot/" not in said
