"""An installation as files: `flask export` writes them, `flask apply` makes the database as they say.

stored(session)                    the database    -> Installation
load(files), as_text, as_folder    files          <-> Installation
plan(current, wanted)              two of them     -> steps                    [pure]
carry_out(session, steps)          steps           -> the database
"""

from portal.registry.installation.carry import carry_out, refusals
from portal.registry.installation.files import (
    SOURCE,
    Loaded,
    Problem,
    as_folder,
    as_text,
    left_over,
    load,
    sources_of,
    unknown_sources,
)
from portal.registry.installation.holding import hold
from portal.registry.installation.shown import about_left_out, shown
from portal.registry.installation.sources import keep_sources, pretend_sources, stored_sources, unreadable_sources
from portal.registry.installation.steps import (
    Action,
    Step,
    Thing,
    as_drafts,
    left_out,
    plan,
    references,
    shut_out,
    without_buried,
)
from portal.registry.installation.stored import stored
from portal.registry.installation.values import Installation, sources_named

__all__ = [
    "SOURCE",
    "Action",
    "Installation",
    "Loaded",
    "Problem",
    "Step",
    "Thing",
    "about_left_out",
    "as_drafts",
    "as_folder",
    "as_text",
    "carry_out",
    "hold",
    "keep_sources",
    "left_out",
    "left_over",
    "load",
    "plan",
    "pretend_sources",
    "references",
    "refusals",
    "shown",
    "shut_out",
    "sources_named",
    "sources_of",
    "stored",
    "stored_sources",
    "unknown_sources",
    "unreadable_sources",
    "without_buried",
]
