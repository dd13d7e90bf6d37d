"""`read`: from the bytes of an OpenAPI document to what is known of it."""

import re
from typing import Any

from portal.errors import Unreadable
from portal.openapi.findings import Findings, quoted
from portal.openapi.key_schemes import key_of
from portal.openapi.loose_ends import check_references
from portal.openapi.loosely import line_of, list_of, object_of, text_of
from portal.openapi.operations import operations_of
from portal.openapi.servers import servers_of
from portal.openapi.strangers import strange_tree
from portal.openapi.structure import check_structure
from portal.openapi.syntax import parse
from portal.openapi.upgrade import upgraded
from portal.openapi.values import Description, Operation, Tag, Warning

_VERSION = re.compile(r"(\d{1,3})(?:\.(\d{1,3}))?(?:\..{0,40})?")
_NEWEST = 2
"""The newest minor version of 3 that is known here. A newer one is read as if it were this."""


def read(data: bytes) -> Description:
    """Understand an OpenAPI document of version 2.0 or 3, in JSON or YAML; pure, and bounded in time and memory.

    What is wrong and can be read around becomes a warning. Raises Unreadable, a sentence, where nothing can.
    """
    said = [Findings() for _ in range(4)]
    syntax, structure, references, meaning = said
    tree = parse(data, syntax)
    if not isinstance(tree, dict):
        raise Unreadable(strange_tree(tree))
    version, family = _version(tree, meaning)
    _refuse_without_paths(tree, version)
    check_structure(tree, family, structure)
    check_references(tree, references)
    schemes: tuple[str, ...] = ("components", "securitySchemes")
    if family == "2.0":
        tree, schemes = upgraded(tree, meaning), ("securityDefinitions",)
    info = object_of(tree.get("info"))
    operations = operations_of(tree, meaning)
    if not operations:
        meaning.add("/paths", "The document has no operations. The API can be called, and has nothing to show.")
    if object_of(tree.get("webhooks")):
        meaning.add("/webhooks", "Webhooks are calls that the API makes itself. They do not pass the gateway.")
    return Description(
        version=version,
        title=line_of(info.get("title")),
        summary=line_of(info.get("summary")),
        description=text_of(info.get("description")),
        api_version=line_of(info.get("version")),
        servers=servers_of(tree, meaning),
        tags=_tags(tree, operations),
        operations=operations,
        key=key_of(tree, schemes, meaning),
        tree=tree,
        warnings=_together(said),
    )


def _version(tree: dict[str, Any], findings: Findings) -> tuple[str, str]:
    """The version as the document says it, and the one that it is read as: 2.0, 3.0, 3.1 or 3.2."""
    key = next((key for key in ("openapi", "swagger") if key in tree), None)
    if key is None:
        raise Unreadable(strange_tree(tree))
    version = line_of(tree[key])
    match = _VERSION.fullmatch(version.lstrip("vV"))
    major, minor = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if major == 2:
        return version, "2.0"
    if major != 3:
        raise Unreadable(
            f"{key} is {quoted(version)} here, and Portico reads the versions 2.0, 3.0, 3.1 and 3.2 of OpenAPI."
        )
    if minor > _NEWEST:
        findings.add(f"/{key}", f"Version {version} is newer than what Portico knows. It was read as 3.{_NEWEST}.")
    return version, f"3.{min(minor, _NEWEST)}"


def _refuse_without_paths(tree: dict[str, Any], version: str) -> None:
    paths = tree.get("paths")
    if isinstance(paths, dict) or (paths is None and (object_of(tree.get("webhooks")) or tree.get("components"))):
        return
    if paths is None:
        raise Unreadable(
            f"This is an OpenAPI document of version {version} without paths, so that there is nothing to call. "
            "Give the document that has them."
        )
    raise Unreadable("The paths of this document are no object, such as /pets: and what can be done there.")


def _tags(tree: dict[str, Any], operations: tuple[Operation, ...]) -> tuple[Tag, ...]:
    """Those that the document describes, in its order, and then those that only operations name."""
    tags: dict[str, Tag] = {}
    for tag in map(object_of, list_of(tree.get("tags"))):
        name = line_of(tag.get("name"))
        if name:
            tags.setdefault(name, Tag(name, text_of(tag.get("description")) or line_of(tag.get("summary"))))
    for operation in operations:
        for name in operation.tags:
            tags.setdefault(name, Tag(name))
    return tuple(tags.values())


def _together(said: list[Findings]) -> tuple[Warning, ...]:
    """What the own steps of reading say comes first, and says more than the schemas say of the same place."""
    syntax, structure, references, meaning = (findings.warnings() for findings in said)
    told = {warning.pointer for warning in (*references, *meaning) if warning.pointer}
    return (*syntax, *meaning, *references, *(warning for warning in structure if warning.pointer not in told))
