"""What programs are told of an import."""

from typing import Any

from sqlalchemy.orm import Session

from portal import registry
from portal.accounts import Permission
from portal.registry import descriptions, imports
from portal.registry.merging import meetings
from portal.registry.models import Import, ImportSource, ImportState, OpenAPIDocument
from portal.registry.proposals import Proposal
from portal.rest.shapes import Instant, Told
from portal.web import described
from portal.web.guards import may

_MOST_WARNINGS = 100


class WarningAnswer(Told):
    """Something that is wrong in the document, and was read around."""

    pointer: str
    """JSON pointer into the document as it was given."""
    detail: str


class ProposalAnswer(Told):
    """What the document suggests for the fields of an API."""

    name: str
    slug: str
    version: str
    description: str
    targets: list[str]
    tags: list[str]
    remarks: dict[str, str]
    """Field -> why it is not quite what the document says."""


class CallerAnswer(Told):
    operation: str
    """Id of an operation that changes in a way that breaks its callers."""
    consumer: str
    team: str
    calls: int
    last_call: Instant


class ImportSummary(Told):
    id: int
    team: str
    api: str | None
    """The API that it is for, or has become; null while it is for a new one."""
    state: ImportState
    """`waiting` and `reading` become `ready` or `refused`; ask again after a second."""
    percent: int
    step: str
    error: str
    """Why it was refused."""
    source: ImportSource
    source_name: str
    """The file's name, or the address as it was given."""
    led_to: str
    """Where that address led by redirects, without query."""
    size: int
    created_at: Instant
    is_stale: bool
    """The API has another OpenAPI document than it was compared with: it cannot be applied before it is compared again.
    """


class ImportAnswer(ImportSummary):
    proposal: ProposalAnswer | None
    """Once it is ready."""
    warnings: list[WarningAnswer]
    """The first hundred."""
    warning_count: int
    disagreements: list[str]
    """Fields about which the draft and the document do not agree: `name`, `description`, `target`, `key`, `tags`."""
    changes: dict[str, Any] | None
    """What it changes for callers of the API that it is for."""
    callers: list[CallerAnswer]
    """Who called within 30 days what it breaks, for those who may see the API's calls."""


def summary(imported: Import) -> ImportSummary:
    return ImportSummary.model_validate(_facts(imported))


def _facts(imported: Import) -> dict[str, object]:
    return {
        "id": imported.id,
        "team": imported.team.slug,
        "api": imported.api.label if imported.api else None,
        "state": imported.state,
        "percent": imported.percent,
        "step": imported.step,
        "error": imported.error,
        "source": imported.source,
        "source_name": imported.source_name,
        "led_to": imported.led_to,
        "size": imported.size,
        "created_at": imported.created_at,
        "is_stale": imported.state is ImportState.READY and imports.is_stale(imported),
    }


def shown(session: Session, imported: Import) -> ImportAnswer:
    # A document that nobody has used for long may be gone.
    kept = session.get(OpenAPIDocument, imported.sha256) if imported.sha256 else None
    is_ready = imported.state is ImportState.READY and kept is not None
    facts = descriptions.facts_of(kept) if is_ready and kept is not None else None
    proposed = imports.proposal_of(session, imported) if is_ready else None
    return ImportAnswer(
        **_facts(imported),
        proposal=_proposal(proposed) if proposed else None,
        warnings=[
            WarningAnswer(pointer=each.pointer, detail=each.sentence)
            for each in (facts.warnings[:_MOST_WARNINGS] if facts else ())
        ],
        warning_count=facts.warning_count if facts else 0,
        disagreements=_disagreements(session, imported, proposed),
        changes=imported.changes if is_ready else None,
        callers=_callers(session, imported) if is_ready else [],
    )


def _callers(session: Session, imported: Import) -> list[CallerAnswer]:
    broken = set((imported.changes or {}).get("broken", ()))
    if imported.api is None or not broken or not may(Permission.SEE_API_CALLS, imported.api.team):
        return []
    found = described.callers(session, imported.api, broken)
    return [
        CallerAnswer(operation=operation, consumer=each.consumer, team=each.team, calls=each.calls, last_call=each.last)
        for operation, those in sorted(found.items())
        for each in those
    ]


def _proposal(proposed: Proposal) -> ProposalAnswer:
    return ProposalAnswer(
        name=proposed.name,
        slug=proposed.slug,
        version=proposed.version,
        description=proposed.description,
        targets=list(proposed.targets),
        tags=list(proposed.tags),
        remarks=proposed.remarks,
    )


def _disagreements(session: Session, imported: Import, proposed: Proposal | None) -> list[str]:
    if imported.api is None or proposed is None:
        return []
    found = meetings(imports.base_of(session, imported.api), registry.read_document(imported.api.draft), proposed)
    return [each.field for each in found]
