"""Which fields the objects of OpenAPI have, and what stands in each (OpenAPI 3.0.4, 3.1.1, 3.2.0).

A kind is a word: `text`, `flag`, `uri`, `any`, the name of an object, or one of these after `list:` or `map:`.
Fields that only later versions know carry the first of them.
"""

MISSING = object()
"""What is made of a value that is none of its kind."""

SECTIONS = {
    "schema": "schemas",
    "response": "responses",
    "parameter": "parameters",
    "example": "examples",
    "requestBody": "requestBodies",
    "header": "headers",
    "link": "links",
    "callback": "callbacks",
}
"""Where in `components` things of a kind stand, and so what a reference to one looks like."""

_VALUE = {
    "description": "text",
    "required": "flag",
    "deprecated": "flag",
    "style": "text",
    "explode": "flag",
    "schema": "schema",
    "content": "map:mediaType",
    "example": "any",
    "examples": "map:example",
}

FIELDS: dict[str, dict[str, str]] = {
    "contact": {"name": "text", "url": "uri", "email": "email"},
    "license": {"name": "text", "identifier": "text", "url": "uri"},
    "externalDocs": {"description": "text", "url": "uri"},
    "tag": {
        "name": "text",
        "summary": "text",
        "description": "text",
        "externalDocs": "externalDocs",
        "parent": "text",
        "kind": "text",
    },
    "operation": {
        "tags": "list:text",
        "summary": "text",
        "description": "text",
        "externalDocs": "externalDocs",
        "operationId": "text",
        "requestBody": "requestBody",
        "callbacks": "map:callback",
        "deprecated": "flag",
    },
    "parameter": _VALUE | {"name": "text", "in": "text", "allowEmptyValue": "flag", "allowReserved": "flag"},
    "header": _VALUE,
    "requestBody": {"description": "text", "content": "map:mediaType", "required": "flag"},
    "mediaType": {
        "schema": "schema",
        "itemSchema": "schema",
        "example": "any",
        "examples": "map:example",
        "encoding": "map:encoding",
    },
    "encoding": {
        "contentType": "text",
        "headers": "map:header",
        "style": "text",
        "explode": "flag",
        "allowReserved": "flag",
    },
    "response": {
        "summary": "text",
        "description": "text",
        "headers": "map:header",
        "content": "map:mediaType",
        "links": "map:link",
    },
    "example": {
        "summary": "text",
        "description": "text",
        "value": "any",
        "dataValue": "any",
        "serializedValue": "text",
        "externalValue": "uri",
    },
    "link": {
        "operationRef": "uri",
        "operationId": "text",
        "parameters": "map:text",
        "requestBody": "any",
        "description": "text",
    },
    "discriminator": {"propertyName": "text", "mapping": "map:text"},
    "xml": {"name": "text", "namespace": "uri", "prefix": "text", "attribute": "flag", "wrapped": "flag"},
}

NEEDED = {
    "license": ("name",),
    "externalDocs": ("url",),
    "tag": ("name",),
    "parameter": ("name", "in"),
    "requestBody": ("content",),
    "discriminator": ("propertyName",),
}
"""Without these an object says nothing, and is left out."""

SINCE = {
    ("license", "identifier"): "3.1",
    ("tag", "summary"): "3.2",
    ("tag", "parent"): "3.2",
    ("tag", "kind"): "3.2",
    ("mediaType", "itemSchema"): "3.2",
    ("response", "summary"): "3.2",
    ("example", "dataValue"): "3.2",
    ("example", "serializedValue"): "3.2",
}

STYLES = {
    "path": ("simple", "matrix", "label"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}

# Schemas. `count` is an integer from 0, `type` and `bound` differ between 3.0 and JSON Schema.
SCHEMA_30 = {
    **dict.fromkeys(("title", "description", "format"), "text"),
    **dict.fromkeys(("maximum", "minimum"), "number"),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), "count"),
    **dict.fromkeys(("uniqueItems", "readOnly", "writeOnly", "deprecated", "nullable"), "flag"),
    **dict.fromkeys(("default", "example"), "any"),
    **dict.fromkeys(("allOf", "oneOf", "anyOf"), "list:schema"),
    **dict.fromkeys(("not", "items"), "schema"),
    "additionalProperties": "schema",
    "properties": "map:schema",
    "multipleOf": "positive",
    "exclusiveMaximum": "bound",
    "exclusiveMinimum": "bound",
    "pattern": "pattern",
    "required": "names",
    "enum": "values",
    "type": "type",
    "discriminator": "discriminator",
    "externalDocs": "externalDocs",
    "xml": "xml",
}
SCHEMA_31 = {key: kind for key, kind in SCHEMA_30.items() if key != "nullable"} | {
    **dict.fromkeys(("$comment", "contentEncoding", "contentMediaType"), "text"),
    **dict.fromkeys(("maxContains", "minContains"), "count"),
    **dict.fromkeys(("contains", "if", "then", "else", "propertyNames", "contentSchema"), "schema"),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), "schema"),
    **dict.fromkeys(("$defs", "patternProperties", "dependentSchemas"), "map:schema"),
    "prefixItems": "list:schema",
    "dependentRequired": "map:names",
    "const": "any",
    "examples": "any",
}
