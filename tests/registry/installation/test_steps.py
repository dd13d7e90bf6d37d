import pytest

from portal.registry import installation as room
from portal.registry.installation.values import Installation
from tests.registry.installation import made

EMPTY = Installation()


@pytest.fixture
def everything() -> Installation:
    return made.read(made.EVERYTHING)


def changed(old: str, new: str) -> Installation:
    assert old in made.EVERYTHING
    return made.read(made.EVERYTHING.replace(old, new, 1))


def labels(steps: list[room.Step]) -> list[str]:
    return [f"{step.action} {step.label}" for step in steps]


class TestPlan:
    def test_equal_is_nothing(self, everything):
        assert room.plan(everything, everything, prune=True) == []

    def test_on_an_empty_installation_everything_is_made_in_an_order_that_works(self, everything):
        assert labels(room.plan(EMPTY, everything, prune=False)) == [
            "create team payments",
            "create team shop",
            "create plan payments/free",
            "create plan payments/gold",
            "create API payments/orders/v1",
            "create API payments/orders/v2",
            "create API payments/refunds/v1",
            "create consumer shop/web",
            "create subscription of shop/web to payments/orders/v1",
            "create subscription of shop/web to payments/refunds/v1",
            "create key pco_0123456789AB of shop/web",
            "create key pco_0123456789CD of shop/web",
        ]

    def test_a_change_names_its_field_before_and_after(self, everything):
        (step,) = room.plan(everything, changed("url: https://orders.example", "url: https://new.example"), prune=False)

        assert [(field.name, field.before, field.after) for field in step.fields] == [
            ("document.upstream.targets[0].url", "https://orders.example", "https://new.example")
        ]
        assert step.publishes

    def test_a_note_alone_is_no_change(self, everything):
        assert room.plan(everything, changed("note: The first one.", "note: Other words."), prune=False) == []

    def test_a_draft_that_is_not_what_callers_have_is_saved_only(self, everything):
        (step,) = room.plan(everything, changed("weight: 3", "weight: 4"), prune=False)

        assert not step.publishes

    def test_unpublishing_comes_before_publishing(self, everything):
        moved = made.EVERYTHING.replace("  note: The first one.\n", "  published: false\n").replace(
            "  published: false\n  plans: []", "  plans: []"
        )

        steps = room.plan(everything, made.read(moved), prune=False)

        assert [(step.label, step.unpublishes, step.publishes) for step in steps] == [
            ("API payments/orders/v1", True, False),
            ("API payments/refunds/v1", False, True),
        ]


class TestPrune:
    def test_deletes_what_the_listed_teams_have_besides(self, everything):
        text = "portico: 1\nteams:\n- slug: payments\n  name: Payments\n  may_publish: true\n"

        assert labels(room.plan(everything, made.read(text), prune=True)) == [
            "delete API payments/orders/v1",
            "delete API payments/orders/v2",
            "delete API payments/refunds/v1",
            "delete plan payments/free",
            "delete plan payments/gold",
        ]

    def test_touches_nothing_of_a_team_that_is_only_referred_to(self, everything):
        only_one_api = (
            made.EVERYTHING[: made.EVERYTHING.index("teams:")]
            + made.EVERYTHING[
                made.EVERYTHING.index("apis:") : made.EVERYTHING.index(
                    "- team: payments\n  slug: orders\n  version: v2"
                )
            ]
        )

        assert room.plan(everything, made.read(only_one_api), prune=True) == []

    def test_ends_and_revokes_what_a_listed_consumer_has_besides(self, everything):
        text = """\
portico: 1
consumers:
- {team: shop, slug: web, name: Web shop, subscriptions: [], keys: []}
"""

        assert labels(room.plan(everything, made.read(text), prune=True)) == [
            "delete subscription of shop/web to payments/orders/v1",
            "delete subscription of shop/web to payments/refunds/v1",
            "delete key pco_0123456789AB of shop/web",
            "delete key pco_0123456789CD of shop/web",
            "change consumer shop/web",
        ]

    def test_leaves_keys_that_the_files_are_silent_about(self, everything):
        text = made.EVERYTHING[: made.EVERYTHING.index("  keys:")]

        assert room.plan(everything, made.read(text), prune=True) == []


class TestDrafts:
    def test_nothing_is_published(self, everything):
        for current in (EMPTY, everything):
            wanted = room.as_drafts(current, changed("path: /orders/v1", "path: /other/v1"))
            steps = room.plan(current, wanted, prune=False)
            assert steps
            assert [step.label for step in steps if step.publishes or step.unpublishes] == []


class TestReferences:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("plan: gold", "plan: silver", "There is no plan payments/silver."),
            ("api: payments/orders/v1", "api: payments/orders/v9", "There is no API payments/orders/v9."),
            ("  - gold\n  document", "  - silver\n  document", "There is no plan payments/silver."),
            ("- team: shop\n", "- team: shed\n", "There is no team shed."),
        ],
    )
    def test_what_nobody_has_is_told(self, old, new, said):
        wanted = changed(old, new)

        found = [sentence for _, _, sentence in room.references(EMPTY, wanted, room.plan(EMPTY, wanted, prune=False))]

        assert found
        assert all(sentence.startswith(said) for sentence in found)

    @pytest.mark.parametrize(
        ("old", "new", "where", "said"),
        [
            ("  - shop\n  category", "  - shed\n  category", "viewers", "There is no team shed."),
            (
                "successor: payments/orders/v2",
                "successor: payments/orders/v9",
                "deprecated.successor",
                "There is no API payments/orders/v9.",
            ),
        ],
    )
    def test_live_settings_refer_to_things_too(self, old, new, where, said):
        assert old in made.ENDING
        wanted = made.read(made.ENDING.replace(old, new))

        (found,) = room.references(EMPTY, wanted, room.plan(EMPTY, wanted, prune=False))

        assert found[0] == ("api", "payments", "orders", "v1")
        assert found[1] == where
        assert found[2].startswith(said)

    def test_what_prune_would_take_is_told(self, everything):
        text = made.EVERYTHING
        without = text[: text.index("- team: payments\n  slug: refunds")] + text[text.index("consumers:") :]
        wanted = made.read(without)

        found = list(room.references(everything, wanted, room.plan(everything, wanted, prune=True)))

        assert [sentence for _, _, sentence in found] == [
            "The API payments/refunds/v1 is in no file, and --prune would delete it."
        ]


class TestShutOut:
    """APIs that take no new subscriptions: the file of `ENDING` closes and retires orders/v1."""

    USE = "  - api: payments/orders/v1\n    plan: gold\n    state: suspended\n"
    OF_KEY = "    apis:\n    - payments/orders/v1\n"

    def found(self, current: Installation, wanted: Installation) -> list[str]:
        steps = room.plan(current, wanted, prune=False)
        return [sentence for _, _, sentence in room.shut_out(current, wanted, steps)]

    def without_use(self, text: str) -> str:
        return text.replace(self.USE, "").replace(self.OF_KEY, "")

    def closed(self, *, with_use: bool) -> Installation:
        text = made.ENDING.replace("  retired: '2027-01-01T00:00:00Z'\n", "")
        assert self.USE in text
        return made.read(text if with_use else self.without_use(text))

    def test_new_ones_are_told(self):
        retired = made.read(made.ENDING)

        assert self.found(self.closed(with_use=False), self.closed(with_use=True)) == [
            "The API payments/orders/v1 takes no new subscriptions. Take this one out, or `closed` out of the API."
        ]
        assert self.found(made.read(self.without_use(made.ENDING)), retired) == [
            "The API payments/orders/v1 is retired: every call is answered with 410. Take this subscription out."
        ]

    def test_one_to_an_api_of_which_the_files_do_not_speak(self):
        whole = self.closed(with_use=True)
        wanted = Installation(consumers=whole.consumers)

        assert len(self.found(self.closed(with_use=False), wanted)) == 1

    def test_those_that_come_with_their_api_are_not_new(self):
        assert self.found(EMPTY, self.closed(with_use=True)) == []

    def test_those_that_are_there_may_change(self):
        before = self.closed(with_use=True)
        text = made.ENDING.replace("  retired: '2027-01-01T00:00:00Z'\n", "").replace(
            self.USE, self.USE.replace("gold", "free")
        )

        assert room.plan(before, made.read(text), prune=False)
        assert self.found(before, made.read(text)) == []

    def test_files_that_open_or_close_the_api_itself(self, everything):
        without = made.read(self.without_use(made.EVERYTHING))

        assert self.found(self.closed(with_use=False), everything) == []
        assert self.found(without, self.closed(with_use=True)) == []


class TestShown:
    def test_a_change_of_a_long_text_is_a_difference(self, everything):
        steps = room.plan(everything, changed("And more.", "And less."), prune=False)

        assert room.shown(steps) == (
            "~ change API payments/orders/v1, and publish it\n"
            "    document.description:\n"
            "        @@ -2,2 +2,2 @@\n"
            "         \n"
            "        -And more.\n"
            "        +And less.\n"
            "\n"
            "1 to change."
        )

    def test_what_steers_a_terminal_does_not(self, everything):
        steps = room.plan(everything, changed("name: Web shop", 'name: "Web\\e[31m shop"'), prune=False)

        assert "    name: Web shop → Web\\u001b[31m shop" in room.shown(steps)

    def test_nothing_is_a_sentence(self):
        assert room.shown([]) == "Nothing to change."
