"""Documents of the sizes that budgets are promised for, made by the bench."""

import pytest

from bench.openapi_documents import SIZES, document
from portal.openapi import read


class TestLargeDocuments:
    @pytest.mark.parametrize("name", ["typical", "large", pytest.param("huge", marks=pytest.mark.slow)])
    def test_each_is_read_without_warnings(self, name: str) -> None:
        operations, size = SIZES[name]
        data = document(operations, size)

        description = read(data)

        assert abs(len(data) - size) < size / 20
        assert len(description.operations) == operations
        assert description.warnings == ()

    def test_equal_arguments_give_equal_bytes(self) -> None:
        assert document(20, 33_000, seed=7) == document(20, 33_000, seed=7)
        assert document(20, 33_000, seed=7) != document(20, 33_000, seed=8)
