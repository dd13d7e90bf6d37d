"""Envoy's JSON: the shape of a resource, and the bytes of a file that Envoy reads resources from."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

Resource = dict[str, Any]
"""A message of Envoy's API in its JSON form."""


def typed(name: str, /, **fields: Any) -> Resource:
    """A message that says its own type, as `Any` fields want it. `name` is the full protobuf name."""
    return {"@type": f"type.googleapis.com/{name}", **fields}


def encoded(value: Resource) -> bytes:
    """Equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def discovery_file(resources: Sequence[Resource]) -> bytes:
    """A file for `path_config_source`. Its version is a hash of the resources, so that the statistic `version_text`
    of the subscription says which file Envoy has taken."""
    return encoded({"version_info": _version(resources), "resources": resources})


def is_whole(file: bytes) -> bool:
    """Whether these bytes are what `discovery_file` once made, to the last bit."""
    try:
        content = orjson.loads(file)
        return bool(content["version_info"] == _version(content["resources"]))
    except (ValueError, TypeError, KeyError):
        return False


def version_of(file: bytes) -> str:
    """The version that `discovery_file` wrote into these bytes."""
    version: str = orjson.loads(file)["version_info"]
    return version


def _version(resources: Sequence[Resource]) -> str:
    return hashlib.sha256(encoded({"resources": resources})).hexdigest()[:16]


def watched(directory: str, file: str) -> Resource:
    """A config source that reads `directory/file` again when something is renamed into that directory.

    One directory a file: in a shared one, each rename would make Envoy read every file again.
    """
    return {
        "path_config_source": {"path": f"{directory}/{file}", "watched_directory": {"path": directory}},
        "resource_api_version": "V3",
    }
