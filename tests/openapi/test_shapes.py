from portal.openapi.samples import sample
from portal.openapi.shapes import flat
from tests.openapi.documents import looking_at


def to(name):
    return {"$ref": f"#/components/schemas/{name}"}


def test_bases_that_meet_again_are_folded_in_once():
    base = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    sides = {name: {"allOf": [to("Base")], "properties": {name: {}}} for name in ("left", "right")}
    look = looking_at(Base=base, Whole={"allOf": [to("left"), to("right")]}, **sides)

    shape, name = flat(to("Whole"), look)

    assert name == "/components/schemas/Whole"
    assert shape == {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "left": {}, "right": {}},
        "required": ["id"],
    }


def test_bases_that_all_have_two_bases_end():
    """Each way on its own would be more than a million."""
    schemas = {f"S{n}": {"allOf": [to(f"S{n + 1}")] * 2, "properties": {f"p{n}": {"const": n}}} for n in range(60)}
    looked = []
    look = looking_at(**schemas)

    def counted(pointer):
        looked.append(pointer)
        return look(pointer)

    assert sample(to("S0"), counted, sending=True)["p0"] == 0
    assert len(looked) < 1_000


def test_parts_that_say_the_same_of_a_property_are_all_kept_and_none_is_changed():
    one = {"properties": {"id": {"type": "integer"}}, "required": ["id", {}]}
    other = {"properties": {"id": {"minimum": 1}}, "required": ["id", "name"]}

    shape, _ = flat({"allOf": [one, other], "required": ["more"]}, looking_at())

    assert shape == {
        "properties": {"id": {"allOf": [{"type": "integer"}, {"minimum": 1}]}},
        "required": ["id", "name", "more"],
    }
    odd = {"required": {"id": 1}}
    assert flat({"allOf": [odd, other]}, looking_at())[0]["required"] == ["id", "name"]
    assert odd == {"required": {"id": 1}}
    assert one == {"properties": {"id": {"type": "integer"}}, "required": ["id", {}]}
