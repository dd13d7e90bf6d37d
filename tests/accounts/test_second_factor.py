"""What is used once is used once, also when two come with it in one moment."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from portal.accounts import second_factor
from portal.errors import Conflict
from tests import factories
from tests.registry import conftest as both

# On both databases, as the registry.
engine, postgres_engine, postgres_schema = both.engine, both.postgres_engine, both.postgres_schema


@pytest.fixture
def at_once(engine: Engine) -> Callable[..., list[bool]]:
    """Runs an act in two transactions begun together; what each of them answered."""

    def run(act: Callable[[Session], bool]) -> list[bool]:
        answers: list[bool] = []
        together = threading.Barrier(2)

        def one() -> None:
            with Session(engine) as session:
                together.wait()
                session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
                answers.append(act(session))
                session.commit()

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(answers)

    return run


@pytest.fixture
def person(session):
    made, other = factories.person(session), factories.person(session)
    for each in (made, other):
        second_factor.put_on(each, "sealed", 100)
        each.mf_recovery_codes = ["a", "b", "c"]
    session.commit()
    return made


class TestUseStep:
    @pytest.mark.parametrize(("step", "is_taken"), [(99, False), (100, False), (101, True)])
    def test_only_later_ones_are_taken(self, session, person, step, is_taken):
        assert second_factor.use_step(session, person.id, step) is is_taken

    def test_one_of_two_gets_it(self, session, person, at_once):
        person_id = person.id
        session.rollback()

        assert at_once(lambda own: second_factor.use_step(own, person_id, 101)) == [False, True]


class TestUseRecoveryCode:
    def test_takes_that_one_away(self, session, person):
        assert second_factor.use_recovery_code(session, person.id, lambda code: code == "b")
        session.flush()
        session.refresh(person)

        assert person.mf_recovery_codes == ["a", "c"]
        assert not second_factor.use_recovery_code(session, person.id, lambda code: code == "b")

    def test_one_of_two_gets_it(self, session, person, at_once):
        person_id = person.id
        session.rollback()

        used = at_once(lambda own: second_factor.use_recovery_code(own, person_id, lambda code: code == "b"))

        assert used == [False, True]
        assert person.mf_recovery_codes == ["a", "c"]


class TestTakeOff:
    def test_leaves_nothing_and_needs_something(self, session, person):
        second_factor.take_off(person)

        assert (person.has_second_factor, person.mf_recovery_codes, person.tf_last_step) == (False, None, None)
        with pytest.raises(Conflict, match="has no second factor"):
            second_factor.take_off(person)


@pytest.mark.parametrize(
    ("of", "administrators", "others"),
    [("nobody", False, False), ("administrators", True, False), ("everybody", True, True)],
)
def test_of_whom_it_is_required(session, of, administrators, others):
    somebody = factories.person(session)
    assert second_factor.is_required(somebody, of) is others
    somebody.is_administrator = True
    assert second_factor.is_required(somebody, of) is administrators
