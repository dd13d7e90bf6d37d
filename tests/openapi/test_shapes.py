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
