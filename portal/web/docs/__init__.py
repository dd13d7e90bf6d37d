"""Docs of APIs: our own pages, read from rows or from a description in memory.

`show_overview(source)` and the others take a `Source`, and answer a request whose address lies under the `base` that
its `About` names: `…/operations`, `…/operations/<name>`, `…/schemas`, `…/schemas/<schema>`, `…/parts/<path:part>`.
"""

from portal.web.docs.pages import show_operation, show_operations, show_overview, show_schema, show_schemas
from portal.web.docs.source import About, Described, Link, Source, pointer_of
from portal.web.docs.views import bp

__all__ = [
    "About",
    "Described",
    "Link",
    "Source",
    "bp",
    "pointer_of",
    "show_operation",
    "show_operations",
    "show_overview",
    "show_schema",
    "show_schemas",
]
