import copy

import pytest

from portal.openapi.changes import MOST_SENTENCES, compare
from tests.openapi.documents import description, document

PET = {"$ref": "#/components/schemas/Pet"}
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def operation(parameters=(), request=None, response=None, **fields):
    made = {"parameters": list(parameters), "responses": {"200": {"description": "Fine"}}, **fields}
    if request is not None:
        made["requestBody"] = {"content": {"application/json": {"schema": request}}}
    if response is not None:
        made["responses"]["200"]["content"] = {"application/json": {"schema": response}}
    return made


def parameter(name="limit", place="query", schema=NUMBER, **fields):
    return {"name": name, "in": place, "schema": schema, **fields}


def of(*properties, required=(), **schemas):
    return {"type": "object", "properties": dict.fromkeys(properties, TEXT) | schemas, "required": list(required)}


def changes(before, after):
    return compare(
        description(document({"/pets": {"post": before}})), description(document({"/pets": {"post": after}}))
    )


RULES = {
    # Parameters
    "a new required parameter": (
        operation(),
        operation([parameter(required=True)]),
        "The query parameter “limit” is new and required.",
        True,
    ),
    "a new optional parameter": (operation(), operation([parameter()]), "The query parameter “limit” is new.", False),
    "a removed parameter": (operation([parameter()]), operation(), "The query parameter “limit” is gone.", True),
    "a parameter that became required": (
        operation([parameter()]),
        operation([parameter(required=True)]),
        "The query parameter “limit” is required.",
        True,
    ),
    "a parameter that became optional": (
        operation([parameter(required=True)]),
        operation([parameter()]),
        "The query parameter “limit” is optional.",
        False,
    ),
    "a parameter that moved": (
        operation([parameter()]),
        operation([parameter(place="header")]),
        "The parameter “limit” moved from query to header.",
        True,
    ),
    "a parameter in another style": (
        operation([parameter()]),
        operation([parameter(style="pipeDelimited")]),
        "The query parameter “limit” is written in another style.",
        True,
    ),
    "a parameter of another type": (
        operation([parameter()]),
        operation([parameter(schema=TEXT)]),
        "The query parameter “limit” was integer and is string.",
        True,
    ),
    "a parameter that takes more": (
        operation([parameter()]),
        operation([parameter(schema={"type": "number"})]),
        "The query parameter “limit” was integer and is number.",
        False,
    ),
    "a deprecated parameter": (
        operation([parameter()]),
        operation([parameter(deprecated=True)]),
        "The query parameter “limit” is deprecated.",
        False,
    ),
    # Request bodies
    "a new required property": (
        operation(request=of("a")),
        operation(request=of("a", "b", required=["b"])),
        "“b” in the request body is new and required.",
        True,
    ),
    "a new optional property": (
        operation(request=of("a")),
        operation(request=of("a", "b")),
        "“b” in the request body is new.",
        False,
    ),
    "a property that became required": (
        operation(request=of("a")),
        operation(request=of("a", required=["a"])),
        "“a” in the request body is required.",
        True,
    ),
    "a property that became optional": (
        operation(request=of("a", required=["a"])),
        operation(request=of("a")),
        "“a” in the request body is optional.",
        False,
    ),
    "a property that is no longer taken": (
        operation(request=of("a", "b")),
        operation(request=of("a")),
        "“b” in the request body is gone.",
        True,
    ),
    "a property that is only read now": (
        operation(request=of("a", b=TEXT)),
        operation(request=of("a", b={**TEXT, "readOnly": True})),
        "“b” in the request body is gone.",
        True,
    ),
    "a request that takes fewer values": (
        operation(request=of(a={"enum": ["x", "y"]})),
        operation(request=of(a={"enum": ["x"]})),
        "“a” in the request body is no longer “y”.",
        True,
    ),
    "a request that takes more values": (
        operation(request=of(a={"enum": ["x"]})),
        operation(request=of(a={"enum": ["x", "y"]})),
        "“a” in the request body may also be “y”.",
        False,
    ),
    "a request that takes chosen values only": (
        operation(request=of("a")),
        operation(request=of(a={"type": "string", "enum": ["x"]})),
        "“a” in the request body is one of “x”, and was free before.",
        True,
    ),
    "a request that takes no null": (
        operation(request=of(a={"type": ["string", "null"]})),
        operation(request=of("a")),
        "“a” in the request body may no longer be null.",
        True,
    ),
    "a request that takes null": (
        operation(request=of("a")),
        operation(request=of(a={"type": "string", "nullable": True})),
        "“a” in the request body may be null.",
        False,
    ),
    "a request with a tighter bound": (
        operation(request=of(a={"type": "string", "maxLength": 20})),
        operation(request=of(a={"type": "string", "maxLength": 10})),
        "“a” in the request body was at most 20 characters and is at most 10 characters.",
        True,
    ),
    "a request with a looser bound": (
        operation(request=of(a={"type": "integer", "minimum": 5})),
        operation(request=of(a={"type": "integer", "minimum": 3})),
        "“a” in the request body was at least 5 and is at least 3.",
        False,
    ),
    "a request with an excluded bound": (
        operation(request=of(a={"type": "integer", "minimum": 5})),
        operation(request=of(a={"type": "integer", "minimum": 5, "exclusiveMinimum": True})),
        "“a” in the request body was at least 5 and is more than 5.",
        True,
    ),
    "a request with a pattern": (
        operation(request=of("a")),
        operation(request=of(a={"type": "string", "pattern": "^x"})),
        "“a” in the request body was without bounds and is matches ^x.",
        True,
    ),
    "a request with a format": (
        operation(request=of("a")),
        operation(request=of(a={"type": "string", "format": "uuid"})),
        "“a” in the request body had no format and has the format uuid.",
        True,
    ),
    "a request with a wider format": (
        operation(request=of(a={"type": "integer", "format": "int32"})),
        operation(request=of(a={"type": "integer", "format": "int64"})),
        "“a” in the request body had the format int32 and has the format int64.",
        False,
    ),
    "a request without a choice": (
        operation(request={"oneOf": [{"title": "Cat"}, {"title": "Dog"}, {"title": "Cow"}]}),
        operation(request={"oneOf": [{"title": "Cat"}, {"title": "Cow"}]}),
        "The request body is no longer “Dog”.",
        True,
    ),
    "a request that is closed": (
        operation(request=of("a")),
        operation(request=of("a") | {"additionalProperties": False}),
        "The request body takes no properties beyond those that are named.",
        True,
    ),
    "items of another type": (
        operation(request={"items": TEXT}),
        operation(request={"items": NUMBER}),
        "“[]” in the request body was string and is integer.",
        True,
    ),
    "a new body": (operation(), operation(request=of("a")), "It takes a body.", False),
    "no body": (operation(request=of("a")), operation(), "It takes no body any more.", True),
    # Responses
    "a property that is no longer answered": (
        operation(response=of("a", "b")),
        operation(response=of("a")),
        "“b” in the answer 200 is gone.",
        True,
    ),
    "a new property in an answer": (
        operation(response=of("a")),
        operation(response=of("a", "b", required=["b"])),
        "“b” in the answer 200 is new.",
        False,
    ),
    "a property that may be missing": (
        operation(response=of("a", required=["a"])),
        operation(response=of("a")),
        "“a” in the answer 200 may be missing.",
        True,
    ),
    "an answer with more values": (
        operation(response=of(a={"enum": ["x"]})),
        operation(response=of(a={"enum": ["x", "y"]})),
        "“a” in the answer 200 may also be “y”.",
        True,
    ),
    "an answer with fewer values": (
        operation(response=of(a={"enum": ["x", "y"]})),
        operation(response=of(a={"enum": ["x"]})),
        "“a” in the answer 200 is no longer “y”.",
        False,
    ),
    "an answer that may be null": (
        operation(response=of("a")),
        operation(response=of(a={"type": ["string", "null"]})),
        "“a” in the answer 200 may be null.",
        True,
    ),
    "an answer of a wider type": (
        operation(response=of(a=NUMBER)),
        operation(response=of(a={"type": "number"})),
        "“a” in the answer 200 was integer and is number.",
        True,
    ),
    "an answer of a narrower type": (
        operation(response=of(a={"type": ["string", "integer"]})),
        operation(response=of("a")),
        "“a” in the answer 200 was string or integer and is string.",
        False,
    ),
    "a success that is gone": (
        operation(responses={"200": {}, "201": {}}),
        operation(responses={"200": {}}),
        "The answer 201 is gone.",
        True,
    ),
    "an error that is gone": (
        operation(responses={"200": {}, "404": {}}),
        operation(responses={"200": {}}),
        "The answer 404 is gone.",
        False,
    ),
    "a new answer": (
        operation(responses={"200": {}}),
        operation(responses={"200": {}, "429": {}}),
        "The answer 429 is new.",
        False,
    ),
    "a media type that is gone": (
        operation(responses={"200": {"content": {"application/json": {}, "text/csv": {}}}}),
        operation(responses={"200": {"content": {"application/json; charset=utf-8": {}}}}),
        "The answer 200 is no longer text/csv.",
        True,
    ),
    "a header that is gone": (
        operation(responses={"200": {"headers": {"X-Total": {}}}}),
        operation(responses={"200": {}}),
        "The header “X-Total” in the answer 200 is gone.",
        True,
    ),
    # Security and words
    "security where there was none": (operation(), operation(security=[{"key": []}]), "It needs “key”.", True),
    "no security any more": (
        operation(security=[{"key": []}]),
        operation(),
        "It may be called without credentials.",
        False,
    ),
    "one more way to be let in": (
        operation(security=[{"key": []}]),
        operation(security=[{"key": []}, {"oauth": ["read"]}]),
        "It takes “key” or “oauth” and “oauth” (read), and took “key” before.",
        False,
    ),
    "one more scope": (
        operation(security=[{"oauth": []}]),
        operation(security=[{"oauth": ["read"]}]),
        "It takes “oauth” and “oauth” (read), and took “oauth” before.",
        True,
    ),
    "deprecation": (operation(), operation(deprecated=True), "It is deprecated.", False),
    "other words": (operation(), operation(summary="Adds a pet"), "Its description reads differently.", False),
}


class TestRules:
    @pytest.mark.parametrize("rule", RULES)
    def test_each_rule_has_its_sentence_and_its_verdict(self, rule):
        before, after, sentence, breaking = RULES[rule]

        found = changes(before, after)

        [change] = found.changed
        assert change.sentences == (sentence,)
        assert change.breaking is breaking
        assert change.reasons == ((sentence,) if breaking else ())

    @pytest.mark.parametrize("rule", RULES)
    def test_nothing_is_said_of_what_stays(self, rule):
        before, after, _, _ = RULES[rule]

        assert not changes(before, copy.deepcopy(before))
        assert not changes(after, copy.deepcopy(after))


class TestCompare:
    def test_choices_without_names_are_counted(self):
        before = operation(request={"anyOf": [of("a"), of("b")]})
        after = operation(request={"anyOf": [of("a"), of("b"), of("c")]})

        (found,) = changes(before, after).changed

        assert found.sentences == ("The request body may also be “object (3)”.",)

    @pytest.mark.parametrize("place", [{}, [], None, 5], ids=repr)
    def test_a_parameter_whose_place_is_none_is_compared(self, place):
        before, after = operation([parameter(place=place)]), operation([parameter(place=place, required=True)])

        assert changes(before, after).breaking

    def test_operations_come_go_and_move(self):
        before = document({"/a": {"get": operation(operationId="a")}, "/b": {"get": operation(operationId="b")}})
        after = document({"/c": {"get": operation(operationId="c")}, "/b2": {"get": operation(operationId="b")}})

        found = compare(description(before), description(after))

        assert [it.id for it in found.added] == ["c"]
        assert [(it.id, it.breaking) for it in found.removed] == [("a", True)]
        assert [(it.id, it.sentences) for it in found.changed] == [("b", ("It moved from GET /b to GET /b2.",))]
        assert [it.id for it in found.breaking] == ["a", "b"]

    def test_another_id_and_another_name_in_the_path_change_nothing_for_callers(self):
        one = operation([parameter("id", "path", required=True)], operationId="one")
        other = operation([parameter("petId", "path", required=True)], operationId="other")

        found = compare(
            description(document({"/pets/{id}": {"get": one}})),
            description(document({"/pets/{petId}": {"get": other}})),
        )

        [change] = found.changed
        assert (change.sentences, change.breaking) == (("Its id was one and is other.",), False)
        assert change.before_id == "one"

    def test_a_change_in_a_shared_schema_is_found_from_each_operation_that_reaches_it(self):
        def described(**properties):
            paths = {
                "/pets": {"get": operation(response={"items": PET}), "post": operation(request=PET)},
                "/other": {"get": operation(response=TEXT)},
            }
            schemas = {"Pet": {"properties": {"tag": {"$ref": "#/components/schemas/Tag"}}}, "Tag": of(**properties)}
            return description(document(paths, components={"schemas": schemas}))

        found = compare(described(a=TEXT, b=TEXT), described(a=TEXT))

        assert [(it.method, it.sentences) for it in found.changed] == [
            ("GET", ("“[].tag.b” in the answer 200 is gone.",)),
            ("POST", ("“tag.b” in the request body is gone.",)),
        ]

    def test_recursion_ends(self):
        def described(name):
            pet = {"properties": {name: TEXT, "parent": PET, "litter": {"items": PET}}}
            return description(
                document({"/pets": {"get": operation(response=PET)}}, components={"schemas": {"Pet": pet}})
            )

        [change] = compare(described("a"), described("b")).changed

        assert change.sentences == ("“a” in the answer 200 is gone.", "“b” in the answer 200 is new.")

    @pytest.mark.parametrize(
        "again",
        [
            {"anyOf": [PET, {"type": "null"}]},
            {"allOf": [PET], "description": "x"},
            {"allOf": [PET, {"properties": {}}]},
        ],
        ids=["nullable", "described", "extended"],
    )
    def test_schemas_that_lead_to_themselves_many_times_cost_bounded_time(self, again):
        def described(**properties):
            pet = of(**properties, **{f"p{n}": again for n in range(12)})
            return description(
                document({"/pets": {"get": operation(response=PET)}}, components={"schemas": {"Pet": pet}})
            )

        [change] = compare(described(a=TEXT), described(a=NUMBER)).changed

        assert change.sentences[0] == "“a” in the answer 200 was string and is integer."

    def test_null_that_a_reference_gains_is_told_once(self):
        def described(below):
            schemas = {"Pet": of(owner=below), "Owner": of("name")}
            paths = {"/pets": {"get": operation(response=PET)}}
            return description(document(paths, components={"schemas": schemas}))

        owner = {"$ref": "#/components/schemas/Owner"}
        [change] = compare(described(owner), described({"oneOf": [owner, {"type": "null"}]})).changed

        assert change.sentences == ("“owner” in the answer 200 may be null.",)
        assert change.breaking

    def test_what_breaks_comes_first_and_the_rest_is_counted(self):
        before = operation(response=of("z"))
        after = operation(response=of(*(f"p{n}" for n in range(100))))

        [change] = changes(before, after).changed

        assert change.sentences[0] == "“z” in the answer 200 is gone."
        assert len(change.sentences) == MOST_SENTENCES + 1
        assert change.sentences[-1] == "There are more differences."
        assert change.reasons == change.sentences[:1]

    def test_a_parameter_of_the_path_item_is_the_operations(self):
        def described(**fields):
            item = {"parameters": [parameter(**fields)], "get": operation()}
            return description(document({"/pets": item}))

        [change] = compare(described(), described(required=True)).changed

        assert change.sentences == ("The query parameter “limit” is required.",)
