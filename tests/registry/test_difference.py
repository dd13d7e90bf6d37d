from portal.registry import differences, facts
from tests import factories


def labels(before, after):
    return {each.label for each in differences(before, after)}


def test_equal_documents_do_not_differ():
    document = factories.document(name="Orders", path="/orders")

    assert differences(document, document) == []


def test_each_field_is_told_in_words():
    before = factories.document(name="Orders", path="/orders", host="orders.example.com")
    after = factories.document(
        name="Orders",
        path="/orders",
        upstream={
            "targets": [{"url": "https://a.example"}, {"url": "https://b.example", "weight": 3}],
            "tls_verify": False,
            "first_byte_timeout_ms": 1500,
        },
        key={"place": "bearer"},
        body_limit_bytes=500_000,
    )

    said = {each.label: (each.before, each.after) for each in differences(before, after)}

    assert said == {
        "Targets": ("http://orders.example:8080", "https://a.example (weight 1)\nhttps://b.example (weight 3)"),
        "Verify TLS certificates": ("yes", "no, any certificate is taken"),
        "First byte timeout": ("30 s", "1.5 s"),
        "Host": ("orders.example.com", ""),
        "Key": ("header X-API-Key", "header Authorization: Bearer"),
        "Body limit": ("10 MB", "0.5 MB"),
    }


def test_openapi_documents_are_told_by_what_people_call_them():
    before, after = (factories.document(name="A", path="/a", openapi=digit * 64) for digit in "ab")

    [said] = differences(before, after, {"a" * 64: "Orders 1, 2 operations", "b" * 64: "Orders 2, 3 operations"})

    assert (said.before, said.after) == ("Orders 1, 2 operations", "Orders 2, 3 operations")


def test_without_a_first_document_everything_that_is_filled_in_is_told():
    document = factories.document(path="/orders")

    assert [(each.label, each.after) for each in differences(None, document)] == facts(document)
    assert "Host" not in labels(None, document)


def test_every_field_of_a_document_is_compared():
    """A field that is added to the document and not to the words would be published unseen."""
    before = factories.document(name="A", path="/a")
    values = before.model_dump()
    other = {
        "name": "B",
        "description": "b",
        "path": "/b",
        "host": "b.example",
        "key": {"place": "query", "name": "k"},
        "body_limit_bytes": 1,
        "tags": ["shop"],
        "openapi": "0" * 64,
        "cors": {"origins": ["*"]},
        "addresses": {"allow": ["10.0.0.0/8"]},
    }
    other_upstream = {
        "targets": [{"url": "http://b.example"}],
        "tls_verify": False,
        "ca_pem": "x",
        "connect_timeout_ms": 101,
        "first_byte_timeout_ms": 101,
        "idle_timeout_ms": 1001,
        "retries": 5,
        "credential": {"kind": "basic", "secret": "s"},
    }
    assert set(other) | {"schema_version", "upstream"} == set(values)
    assert set(other_upstream) == set(values["upstream"])
    for field, value in other.items():
        assert len(labels(before, before.model_validate(values | {field: value}))) == 1, field
    for field, value in other_upstream.items():
        changed = values | {"upstream": values["upstream"] | {field: value}}
        assert len(labels(before, before.model_validate(changed))) == 1, field
