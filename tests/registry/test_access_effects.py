"""What callers notice of other origins and other address lists."""

import pytest

from tests.registry.test_effects import said

A, B = "https://a.example", "https://b.example"


def cors(*origins, **more):
    return {"cors": {"origins": origins, **more}}


def lists(**values):
    return {"addresses": values}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, cors(A), [(f"Pages of {A} may call from browsers. What the targets say about that is taken off.", False)]),
        (
            {},
            cors("*", A),
            [("Pages of every site may call from browsers. What the targets say about that is taken off.", False)],
        ),
        (cors(A), {}, [("Browsers are answered by the targets alone; preflights, which carry no key, get 401.", True)]),
        (
            cors(A),
            cors(B),
            [
                (f"Pages of {A} may call from browsers no more.", True),
                (f"Pages of {B} may call from browsers too.", False),
            ],
        ),
        (cors(A), cors("*"), [("Pages of every site may call from browsers too.", False)]),
        (cors("*"), cors(A), [("Pages of other sites may call from browsers no more.", True)]),
        (
            cors(A),
            cors(A, methods=["GET", "PURGE"]),
            [
                ("Pages may call with HEAD, POST, PUT, PATCH, DELETE no more.", True),
                ("Pages may call with PURGE too.", False),
            ],
        ),
        (cors(A), cors(A, headers=["X-Trace", "content-type"]), [("Pages may send X-Trace too.", False)]),
        (cors(A, exposed_headers=["ETag"]), cors(A), [("Pages may read ETag no more.", True)]),
        (cors(A, credentials=True), cors(A), [("Pages may call with cookies no more.", True)]),
        (cors(A, max_age_s=1), cors(A), []),
        (
            {},
            lists(allow=["10.0.0.0/8", "203.0.113.7"]),
            [("Calls are taken from 10.0.0.0/8, 203.0.113.7 only; all others get 403 address_not_allowed.", True)],
        ),
        (lists(allow=["10.0.0.0/8"]), {}, [("Calls are taken from everywhere that is not denied.", False)]),
        (
            lists(allow=["10.0.0.0/8"]),
            lists(allow=["11.0.0.0/8"]),
            [
                ("Calls from 10.0.0.0/8 get 403 address_not_allowed, unless another allowed network holds them.", True),
                ("Calls are taken from 11.0.0.0/8 too.", False),
            ],
        ),
        ({}, lists(deny=["10.0.0.0/8"]), [("Calls from 10.0.0.0/8 get 403 address_not_allowed.", True)]),
        (lists(deny=["10.0.0.0/8"]), {}, [("Calls from 10.0.0.0/8 are denied no more.", False)]),
    ],
)
def test_is_told(before, after, expected):
    assert said(before, after) == expected


def test_long_lists_are_cut():
    (told, _), *_ = said({}, lists(deny=[f"10.{n}.0.0/16" for n in range(9)]))

    assert told == (
        "Calls from 10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16 and 4 more get 403 "
        "address_not_allowed."
    )
