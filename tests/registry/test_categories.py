import pytest
from sqlalchemy import select

from portal import registry
from portal.errors import Invalid, NameTaken
from portal.registry.models import Category
from tests import factories


def categories(session):
    return [each.slug for each in session.scalars(select(Category).order_by(Category.position, Category.name))]


class TestCreate:
    def test_a_new_one_stands_last(self, session):
        for slug in ("zoo", "art"):
            registry.create_category(session, slug=slug, name=slug.title())
            session.flush()

        assert categories(session) == ["zoo", "art"]

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"slug": "No slug"}, "slug"),
            ({"name": "  "}, "name"),
            ({"name": "n" * 81}, "name"),
            ({"description": "d" * 501}, "description"),
            ({"position": -1}, "position"),
            ({"position": 2**40}, "position"),
        ],
    )
    def test_what_does_not_fit_is_said_beside_its_field(self, session, values, field):
        with pytest.raises(Invalid) as refused:
            registry.create_category(session, **{"slug": "art", "name": "Art"} | values)

        assert set(refused.value.fields) == {field}

    @pytest.mark.parametrize(
        ("values", "field"), [({"name": "Other"}, "slug"), ({"slug": "other", "name": "ART"}, "name")]
    )
    def test_slugs_and_names_are_there_once(self, session, values, field):
        registry.create_category(session, slug="art", name="Art")
        session.flush()

        with pytest.raises(NameTaken) as refused:
            registry.create_category(session, **{"slug": "art", "name": "Art"} | values)

        assert refused.value.field == field


class TestChange:
    def test_it_may_keep_its_own_name(self, session):
        category = registry.create_category(session, slug="art", name="Art")
        session.flush()

        registry.change_category(session, category, name="Art", description=" All of it. ", position=7)

        assert (category.name, category.description, category.position) == ("Art", "All of it.", 7)


class TestDelete:
    def test_its_apis_stay_without_one(self, session):
        category = registry.create_category(session, slug="art", name="Art")
        api = factories.api(session, live=True)
        registry.set_category(session, api, category)
        session.commit()

        assert registry.delete_category(session, category) == 1
        session.commit()

        assert api.category is None
        assert categories(session) == []
