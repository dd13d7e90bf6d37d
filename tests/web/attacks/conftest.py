"""The world of the permission tests: one of each thing, six people, and every route that there is."""

from tests.web.test_permissions import world

__all__ = ["world"]
