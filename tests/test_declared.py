"""`flask export` and `flask apply`, as somebody types them."""

import re
from hashlib import sha256

import pytest
from sqlalchemy import delete, func, select

from portal import accounts, registry
from portal.accounts.audit import AuditEntry
from portal.jobs import Job
from portal.registry.models import (
    Api,
    Category,
    Consumer,
    Import,
    Key,
    OpenAPIDocument,
    Operation,
    Plan,
    Release,
    Subscription,
    SubscriptionState,
)
from tests import factories
from tests.factories import PETS
from tests.registry.installation import made


@pytest.fixture
def flask(app, tmp_path, monkeypatch):
    """Types a command in a folder of its own; the answer has `exit_code`, `stdout` and `stderr`."""
    monkeypatch.chdir(tmp_path)
    runner = app.test_cli_runner()

    def type_in(*words: str, **more):
        return runner.invoke(args=list(words), **more)

    return type_in


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "all.yaml") -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


@pytest.fixture
def applied(flask, write):
    """Everything of `made.EVERYTHING` is there."""
    answer = flask("apply", write(made.EVERYTHING), "--yes")
    assert answer.exit_code == 0, answer.output


def one(session, kind, **fields):
    session.rollback()
    return session.scalars(select(kind).filter_by(**fields)).one()


def count(session, kind) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(kind)) or 0


class TestApply:
    def test_shows_asks_applies_and_then_there_is_nothing_left_to_do(self, flask, write, session):
        file = write(made.EVERYTHING)

        done, again = flask("apply", file, input="y\n"), flask("apply", file)

        assert done.exit_code == 0, done.output
        assert '+ create API payments/orders/v1, and publish it\n    plans: ["free", "gold"]\n' in done.stdout
        assert "12 to create." in done.stdout
        assert done.stdout.endswith("Applied.\n")
        assert (again.exit_code, again.stdout) == (0, "Nothing to change.\n")
        v2 = one(session, Api, version="v2")
        assert (v2.state, v2.has_unpublished_changes, v2.live_release.document["name"]) == (
            "paused",
            True,
            "Orders, soon",
        )

    def test_no_is_no(self, flask, write, session):
        answer = flask("apply", write(made.EVERYTHING), input="n\n")

        assert answer.exit_code == 1
        assert count(session, Api) == 0

    def test_plan_only_shows_and_its_status_says_whether_something_would_change(self, flask, write, session):
        file = write(made.EVERYTHING)

        before = flask("apply", file, "--plan")
        assert count(session, Api) == 0
        flask("apply", file, "--yes")
        after = flask("apply", file, "--plan")

        assert (before.exit_code, after.exit_code) == (2, 0)
        assert "12 to create." in before.stdout

    def test_from_standard_input_and_from_a_folder(self, flask, session, tmp_path):
        assert flask("apply", "-", "--yes", input=made.EVERYTHING).exit_code == 0
        flask("export", "--to", "there")

        answer = flask("apply", "there")

        assert answer.stdout == "Nothing to change.\n"

    def test_every_problem_of_every_file_is_told_and_nothing_done(self, flask, write, session):
        good = write(made.EVERYTHING)
        bad = write("portico: 1\nteams:\n- slug: X\n  name: Y\n", "bad.yaml")

        answer = flask("apply", good, bad, "--yes")

        assert answer.exit_code == 1
        assert answer.stderr == (
            "bad.yaml:3: teams[0].slug: Use small letters, digits and dashes, such as orders.\n"
            "Error: 1 problem. Nothing was changed.\n"
        )
        assert count(session, Api) == 0

    def test_a_wrong_option_is_not_mistaken_for_a_change(self, flask):
        assert flask("apply", "--what").exit_code == 1
        assert flask("apply").exit_code == 1

    def test_a_file_that_is_not_there_is_named(self, flask):
        answer = flask("apply", "nowhere.yaml")

        assert (answer.exit_code, answer.stderr) == (
            1,
            "Error: nowhere.yaml cannot be read: No such file or directory.\n",
        )

    def test_the_trail_says_the_command_line(self, applied, session):
        entries = session.execute(select(AuditEntry.action, AuditEntry.kind, AuditEntry.by, AuditEntry.person_id)).all()

        assert {(action, kind) for action, kind, *_ in entries} >= {
            ("created", "team"),
            ("created", "api"),
            ("published", "release"),
            ("paused", "api"),
            ("subscribed", "subscription"),
            ("issued", "key"),
        }
        assert {tuple(rest) for _, _, *rest in entries} == {("command line", None)}

    def test_new_teams_get_the_owner_that_is_named(self, flask, write, session):
        olga = factories.person(session, email="olga@portico.example")
        session.commit()

        unknown = flask("apply", write(made.EVERYTHING), "--yes", "--owner", "nobody@portico.example")
        flask("apply", write(made.EVERYTHING), "--yes", "--owner", "Olga@portico.example")

        assert "Nobody here signs in as nobody@portico.example." in unknown.output
        session.rollback()
        assert [team.slug for team in olga.teams if not team.is_personal] == ["payments", "shop"]

    def test_a_team_without_members_is_there_for_an_administrator(self, applied, session):
        shop = one(session, accounts.Team, slug="shop")

        assert shop.memberships == []


class TestChanges:
    def apply(self, flask, write, *changes: tuple[str, str], options=("--yes",)):
        text = made.EVERYTHING
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        return flask("apply", write(text), *options)

    def test_two_apis_change_places(self, flask, write, applied, session):
        v2 = made.EVERYTHING.replace("/orders/v1\n", "/here\n").replace("/orders/v2\n", "/orders/v1\n")
        answer = flask("apply", write(v2.replace("/here\n", "/orders/v2\n")), "--yes")

        assert answer.exit_code == 0, answer.output
        assert one(session, Api, version="v2").live_release.document["path"] == "/orders/v1"

    def test_drafts_are_saved_and_not_published(self, flask, write, applied, session):
        answer = self.apply(
            flask, write, ("url: https://orders.example", "url: https://new.example"), options=("--yes", "--drafts")
        )

        assert answer.exit_code == 0, answer.output
        api = one(session, Api, slug="orders", version="v1")
        assert (api.live_release.number, api.has_unpublished_changes) == (1, True)

    def test_another_plan_ends_the_subscription_and_makes_another(self, flask, write, applied, session):
        answer = self.apply(flask, write, ("plan: gold", "plan: free"))

        assert "    plan: gold → free\n" in answer.stdout
        session.rollback()
        uses = session.scalars(select(Subscription).join(Api).where(Api.version == "v1", Api.slug == "orders")).all()
        assert [(use.plan.slug, use.state) for use in uses] == [
            ("gold", SubscriptionState.ENDED),
            ("free", SubscriptionState.SUSPENDED),
        ]

    def test_limits_names_ends_and_labels_change(self, flask, write, applied, session):
        answer = self.apply(
            flask,
            write,
            ("per_second: 100", "per_second: 99"),
            ("name: The Shop", "name: A Shop"),
            ("2099-01-01", "2098-01-01"),
            ("label: web", "label: phone"),
            ("name: Web shop", "name: Phone shop"),
            ("may_publish: true", "may_publish: false"),
            ("  paused: true\n", ""),
        )

        assert answer.exit_code == 0, answer.output
        assert "7 to change." in answer.stdout
        assert one(session, Plan, slug="gold").per_second == 99
        assert one(session, Key, public_id="0123456789AB").label == "phone"
        assert one(session, Api, version="v2").state == "published"
        assert flask("apply", "all.yaml").stdout == "Nothing to change.\n"

    def test_unpublishing(self, flask, write, applied, session):
        answer = self.apply(flask, write, ("  note: The first one.\n", "  published: false\n"))

        assert "~ change API payments/orders/v1, and take it away from callers\n" in answer.stdout
        assert "    callers have: the document → nothing\n" in answer.stdout
        assert one(session, Api, slug="orders", version="v1").state == "draft"
        assert count(session, Subscription) == 2

    def test_a_key_is_revoked_when_the_file_says_so(self, flask, write, applied, session):
        self.apply(flask, write, ("    label: web\n", "    label: web\n    revoked_at: 2026-01-02T03:04:05Z\n"))

        # It died longer ago than the gateway remembers, and is as if it were in no file.
        assert one(session, Key, public_id="0123456789AB").revoked_at is None
        lately = made.now().isoformat()
        answer = self.apply(flask, write, ("    label: web\n", f"    label: web\n    revoked_at: {lately}\n"))
        assert answer.exit_code == 0, answer.output
        assert one(session, Key, public_id="0123456789AB").revoked_at.isoformat() == lately


class TestPrune:
    def test_what_is_left_out_stays_and_is_counted(self, flask, write, applied, session):
        text = made.EVERYTHING[: made.EVERYTHING.index("consumers:")]

        answer = flask("apply", write(text))

        assert answer.stdout == "Nothing to change.\n1 thing is in no file and would go with --prune.\n"
        assert count(session, Consumer) == 1

    def test_it_goes_and_other_teams_are_told(self, flask, write, applied, session):
        olga = factories.person(session, email="olga@portico.example")
        session.commit()
        shop = one(session, accounts.Team, slug="shop")
        accounts.add_member(session, shop, email=olga.email, role=accounts.Role.OWNER)
        session.commit()
        text = "portico: 1\nteams:\n- slug: payments\n  name: Payments\n"

        answer = flask("apply", write(text), "--prune", "--yes")

        assert answer.exit_code == 0, answer.output
        assert (count(session, Api), count(session, Plan), count(session, Consumer)) == (0, 0, 1)
        assert [job.kind for job in session.scalars(select(Job))] == ["notice"]

    def test_a_plan_that_somebody_had_is_a_problem_before_anything_is_done(self, flask, write, applied, session):
        use = session.scalars(select(Subscription).join(Plan).where(Plan.slug == "gold")).one()
        use.state = SubscriptionState.ENDED
        session.commit()
        text = made.EVERYTHING
        start, end = text.index("- team: payments\n  slug: gold"), text.index("- team: payments\n  slug: free")
        text = (text[:start] + text[end:]).replace("  - gold\n", "").replace("plan: gold", "plan: free")

        for options in (("--plan",), ("--yes",), ()):
            answer = flask("apply", write(text), "--prune", *options)
            assert answer.exit_code == 1
            assert answer.stderr == (
                "--prune: 1 subscription has or had the plan Gold. Take it out of the APIs' offers instead. "
                "(To delete the plan payments/gold.)\nError: 1 problem. Nothing was changed.\n"
            )
        assert count(session, Plan) == 2


class TestCategories:
    """They come out with their names and places, and stay with the APIs that stand on them."""

    @pytest.fixture
    def shelved(self, flask, write):
        answer = flask("apply", write(made.ENDING), "--yes")
        assert answer.exit_code == 0, answer.output

    def test_names_descriptions_and_places_are_kept(self, flask, shelved, session):
        money = one(session, Category, slug="money")

        assert (money.name, money.description, money.position) == ("Money & more", "What is paid and owed.", 1)
        assert one(session, Api, version="v1", slug="orders").category.slug == "money"
        assert "- slug: money\n  name: Money & more\n" in flask("export").stdout

    def test_a_folder_has_them_in_a_file_of_their_own(self, flask, shelved, session, tmp_path):
        flask("export", "--to", "there")

        assert "slug: art" in (tmp_path / "there" / "categories.yaml").read_text()
        assert flask("apply", "there").stdout == "Nothing to change.\n"

    def test_they_change_and_go(self, flask, write, shelved, session):
        text = made.ENDING.replace("name: Money & more", "name: Art").replace("- slug: art\n  name: Art\n", "")

        stays = flask("apply", write(text), "--plan")
        goes = flask("apply", write(text), "--prune", "--yes")

        assert stays.exit_code == 1
        assert "all.yaml:9: categories[0]: There is a category Art already." in stays.stderr
        assert goes.exit_code == 0, goes.output
        assert "- delete category art\n" in goes.stdout
        assert "    name: Money & more → Art\n" in goes.stdout
        assert one(session, Category).name == "Art"

    def test_files_that_list_none_delete_none(self, flask, write, shelved, session):
        answer = flask("apply", write(made.EVERYTHING), "--prune", "--yes")

        assert answer.exit_code == 0, answer.output
        assert count(session, Category) == 2


class TestRefusals:
    """In a sentence with the place in the file, before anything is done."""

    def refused(self, flask, write, text: str, *options: str) -> str:
        answers = [flask("apply", write(text), how, *options) for how in ("--plan", "--yes")]
        assert {answer.exit_code for answer in answers} == {1}
        assert answers[0].stderr == answers[1].stderr
        assert answers[0].stderr.endswith("Nothing was changed.\n")
        return answers[0].stderr

    def test_a_path_that_is_taken(self, flask, write, session):
        factories.api(session, name="Theirs", path="/orders", live=True, team=factories.team(session, name="Them"))
        session.commit()

        said = self.refused(flask, write, made.EVERYTHING)

        assert "all.yaml:30: apis[0]: /orders/v1 already belongs to Theirs (Them). Choose another one.\n" in said
        assert "all.yaml:48: apis[1]: /orders/v2 already belongs to Theirs (Them). Choose another one.\n" in said
        assert said.startswith("With --drafts, drafts are saved and nothing is published.\n")
        assert "2 problems." in said, "what only follows from them is not told"

    def test_a_secret_that_is_not_there(self, flask, write, session):
        text = made.EVERYTHING.replace(
            "      - url: https://orders.example\n",
            "      - url: https://orders.example\n      credential: {kind: basic, secret: orders}\n",
        )

        said = self.refused(flask, write, text)

        assert "Orders names the secret orders, which Payments does not have." in said
        assert flask("apply", "all.yaml", "--yes", "--drafts").exit_code == 0
        factories.upstream_secret(
            session,
            team=one(session, accounts.Team, slug="payments"),
            name="orders",
            kind="basic",
            texts={"user": "u", "password": "p"},
        )
        session.commit()
        assert flask("apply", "all.yaml", "--yes").exit_code == 0
        assert one(session, Api, slug="orders", version="v1").state == "published"

    def test_a_header_of_the_gateway(self, flask, write):
        text = made.EVERYTHING.replace(
            "    path: /orders/v1\n", "    path: /orders/v1\n    key: {place: header, name: Host}\n"
        )

        assert "all.yaml:45: apis[0].document.key: The header Host has a meaning" in self.refused(flask, write, text)

    def test_a_personal_team(self, flask, write, session):
        person = factories.person(session, email="quirin@portico.example")
        session.commit()
        text = made.EVERYTHING.replace("shop\n", f"{person.teams[0].slug}\n").replace("  chosen: [shop]\n", "")

        assert "is in use already" in self.refused(flask, write, text)

    def test_an_id_of_another_consumer(self, flask, write, session):
        other = factories.consumer(session)
        session.commit()
        text = made.EVERYTHING.replace("con_abcdefgh234567ab", other.public_id)

        assert f"Another consumer has the id {other.public_id} already." in self.refused(flask, write, text)

    def test_an_id_that_changes(self, flask, write, applied):
        text = made.EVERYTHING.replace("con_abcdefgh234567ab", "con_zzzzzzzzzzzzzzzz")

        assert "all.yaml:89: consumers[0].id: It has the id con_abcdefgh234567ab here" in self.refused(
            flask, write, text
        )

    def test_a_key_of_another_consumer(self, flask, write, session):
        key, _ = factories.key(session, factories.consumer(session))
        session.commit()
        text = made.EVERYTHING.replace("0123456789AB", key.public_id)

        assert f"The key pco_{key.public_id}_… belongs to another consumer here." in self.refused(flask, write, text)

    def test_a_key_that_was_revoked_does_not_come_back(self, flask, write, applied, session):
        one(session, Key, public_id="0123456789AB").revoked_at = made.now()
        session.commit()

        said = self.refused(flask, write, made.EVERYTHING)

        assert "consumers[0].keys[0].revoked_at: The key pco_0123456789AB_… was revoked at" in said

    def test_a_category_that_nobody_has_put_up(self, flask, write, session):
        text = made.ENDING.replace("category: money", "category: mony")

        said = self.refused(flask, write, text)

        assert "apis[0].category: There is no category mony. Correct the name, or add it to the files." in said
        assert count(session, Category) == 0

    def test_what_nobody_has(self, flask, write):
        text = made.EVERYTHING.replace("plan: gold", "plan: silver")

        assert "all.yaml:98: consumers[0].subscriptions[0].plan: There is no plan payments/silver." in self.refused(
            flask, write, text
        )

    def test_a_subscription_to_an_api_that_takes_no_new_ones(self, flask, write, applied, session):
        one(session, Api, version="v2").closed = True
        session.commit()
        text = made.EVERYTHING.replace("api: payments/refunds/v1", "api: payments/orders/v2").replace(
            "  paused: true\n", "  paused: true\n  closed: true\n"
        )

        said = self.refused(flask, write, text)

        assert said == (
            "all.yaml:101: consumers[0].subscriptions[1].api: The API payments/orders/v2 takes no new subscriptions. "
            "Take this one out, or `closed` out of the API.\nError: 1 problem. Nothing was changed.\n"
        )
        assert flask("apply", write(text.replace("  closed: true\n", "")), "--yes").exit_code == 0


class TestMeanwhile:
    def test_what_somebody_changes_before_the_answer_is_not_overwritten(
        self, flask, write, applied, session, monkeypatch
    ):
        text = made.EVERYTHING.replace("per_second: 100", "per_second: 99")

        def somebody_else_and_yes(*_words, **_more) -> bool:
            one(session, Plan, slug="gold").per_second = 50
            session.commit()
            return True

        monkeypatch.setattr("click.confirm", somebody_else_and_yes)
        answer = flask("apply", write(text))

        assert answer.exit_code == 1
        assert "Somebody has changed something meanwhile" in answer.stderr
        assert one(session, Plan, slug="gold").per_second == 50

    def test_api_that_somebody_closes_before_the_answer_gets_no_subscription(
        self, flask, write, applied, session, monkeypatch
    ):
        text = made.EVERYTHING[made.EVERYTHING.index("consumers:") :].replace("refunds/v1", "orders/v2")

        def somebody_else_and_yes(*_words, **_more) -> bool:
            one(session, Api, version="v2").closed = True
            session.commit()
            return True

        monkeypatch.setattr("click.confirm", somebody_else_and_yes)
        answer = flask("apply", write(f"portico: 1\n{text}"))

        assert answer.exit_code == 1
        assert "Somebody has changed something meanwhile" in answer.stderr
        assert count(session, Subscription) == 2

    def test_what_somebody_changes_elsewhere_is_no_matter(self, flask, write, applied, session, monkeypatch):
        text = made.EVERYTHING.replace("per_second: 100", "per_second: 99")

        def somebody_else_and_yes(*_words, **_more) -> bool:
            factories.team(session)
            session.commit()
            return True

        monkeypatch.setattr("click.confirm", somebody_else_and_yes)

        assert flask("apply", write(text)).exit_code == 0
        assert one(session, Plan, slug="gold").per_second == 99


class TestExport:
    def test_without_keys_unless_asked(self, flask, applied, session):
        plain, with_keys = flask("export"), flask("export", "--keys")

        assert "sha256" not in plain.stdout
        assert "0123456789AB" in with_keys.stdout
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "exported keys"))
        assert entry.changes == {"count": [None, 2]}

    def test_neither_people_nor_their_teams_nor_secrets(self, flask, session):
        person = factories.person(session, name="Quirin Quelle", email="quirin@portico.example")
        team = factories.team(session, owner=person, slug="team")
        factories.consumer(session, team=person.teams[0], slug="private")
        factories.upstream_secret(session, team=team, name="token")
        session.commit()

        text = flask("export").stdout

        assert "slug: team\n" in text
        assert not [word for word in ("uirin", "Quelle", "private", "hush") if word in text]

    def test_a_folder_follows_what_is_there(self, flask, applied, session, tmp_path):
        first = flask("export", "--to", "there")
        (tmp_path / "there" / "own.yaml").write_text("mine: 1\n")
        session.delete(one(session, Consumer))
        session.commit()

        second, third = flask("export", "--to", "there"), flask("export", "--to", "there")

        assert first.stdout == "there has 2 teams and 3 APIs: 5 files written, 0 removed.\n"
        assert second.stdout == "there has 2 teams and 3 APIs: 1 files written, 0 removed.\n"
        assert third.stdout == "there has 2 teams and 3 APIs: 0 files written, 0 removed.\n"
        assert (tmp_path / "there" / "own.yaml").exists()
        assert not list((tmp_path / "there").rglob("*.tmp"))

    def test_releases_that_are_live_are_told_and_numbers_are_not(self, flask, applied, session):
        assert count(session, Release) == 2
        assert "number" not in flask("export").stdout


class TestOpenAPIDocuments:
    """They go with the APIs that refer to them, byte for byte."""

    @pytest.fixture
    def documented(self, session):
        """An API whose live release and whose draft refer to two documents."""
        team = factories.team(session, slug="zoo", name="Zoo")
        live, later = (factories.imported(session, team=team, data=data) for data in (PETS, b"# new\n" + PETS))
        api = factories.api(session, team=team, slug="pets", live=True, path="/pets", openapi=live.sha256)
        document = registry.read_document(api.draft | {"openapi": later.sha256})
        registry.save_draft(session, api, document, by=None, expected=1)
        session.commit()

    def test_export_apply_export_gives_the_same_bytes(self, flask, documented, session, tmp_path, write):
        before = flask("export").stdout
        session.execute(delete(Api))
        session.execute(delete(OpenAPIDocument))
        session.execute(delete(Import))
        session.commit()
        assert "# new" in before

        done = flask("apply", write(before), "--yes")

        assert done.exit_code == 0, done.output
        assert flask("export").stdout == before
        assert flask("apply", "all.yaml").stdout == "Nothing to change.\n"
        operations = session.scalar(select(func.count()).select_from(Operation))
        assert operations == 4

    def test_a_folder_has_each_beside_its_api(self, flask, documented, session, tmp_path):
        flask("export", "--to", "there")
        session.execute(delete(Api))
        session.execute(delete(OpenAPIDocument))
        session.commit()

        assert (tmp_path / "there/apis/zoo/pets/v1.live.openapi.yaml").read_bytes() == PETS
        done = flask("apply", "there", input="y\n")
        assert done.exit_code == 0, done.output
        assert flask("export", "--to", "there").stdout.endswith("0 files written, 0 removed.\n")

    def test_one_that_cannot_be_read_is_told_with_its_api(self, flask, documented, session, tmp_path):
        flask("export", "--to", "there")
        session.execute(delete(OpenAPIDocument))
        session.commit()
        broken = b"openapi: 3.1.0\ninfo: ["
        for path in (tmp_path / "there").rglob("*.openapi.yaml"):
            path.write_bytes(broken)
        api = tmp_path / "there/apis/zoo/pets/v1.yaml"
        api.write_text(re.sub("[0-9a-f]{64}", sha256(broken).hexdigest(), api.read_text()))

        answer = flask("apply", "there", "--yes")

        assert answer.exit_code == 1
        assert "v1.yaml:" in answer.stderr
        assert "is not YAML" in answer.stderr
        assert count(session, OpenAPIDocument) == 0

    def test_planning_stores_nothing(self, flask, documented, session, write):
        before = flask("export").stdout
        session.execute(delete(Api))
        session.execute(delete(OpenAPIDocument))
        session.commit()

        answer = flask("apply", write(before), "--plan")

        assert answer.exit_code == 2, answer.output
        assert count(session, OpenAPIDocument) == 0
