import re

import pytest

from tests import factories
from tests.conftest import sign_in


def entries(page: str) -> dict[str, bool]:
    """Labels of the navigation, and whether each is the one of this page."""
    nav = re.search(r"<nav.*?</nav>", page, re.DOTALL)
    assert nav is not None
    links = re.findall(r"<a ([^>]*)>.*?<span[^>]*>([^<]+)</span>", nav[0], re.DOTALL)
    return {label: 'aria-current="page"' in attributes for attributes, label in links}


class TestWhatIsShown:
    def test_the_gateway_is_for_administrators(self, client, cast):
        assert "Gateway" in entries(sign_in(client, cast.administrator).get("/").text)
        assert "Gateway" not in entries(sign_in(client, cast.owner).get("/").text)

    def test_the_back_office_is_for_administrators_and_current_in_all_of_it(self, client, cast):
        assert entries(sign_in(client, cast.administrator).get("/admin/team/").text)["Back office"]
        assert "Back office" not in entries(sign_in(client, cast.owner).get("/").text)


class TestWhereOneIs:
    @pytest.mark.parametrize(
        ("path", "label"),
        [
            ("/", "Home"),
            ("/apis", "APIs"),
            ("/apis/cast/orders/v1/traffic", "APIs"),
            ("/calls", "Calls"),
            ("/settings/teams", "Settings"),
        ],
    )
    def test_one_entry_is_current(self, client, session, cast, path, label):
        factories.api(session, team=cast.team, slug="orders")
        session.commit()

        shown = entries(sign_in(client, cast.owner).get(path).text)

        assert [name for name, current in shown.items() if current] == [label]
