"""References that lead nowhere, or out of the document: read around, and said once for each that is referred to."""

from typing import Any

from portal.openapi.findings import Findings, number_of, quoted
from portal.openapi.references import Look, looking, reference_of
from portal.openapi.walking import Place, objects_of, pointer_to


def check_references(tree: dict[str, Any], findings: Findings) -> None:
    """What a reference leads to is never fetched. Circles are fine: schemas of trees and lists are made so."""
    look = looking(tree)
    leads: dict[str, bool] = {}
    dangling: dict[str, tuple[Place, int]] = {}
    outside: dict[str, tuple[Place, int]] = {}
    for node, place in objects_of(tree):
        ref = node.get("$ref")
        if type(ref) is not str:
            continue
        name = reference_of(node)
        if name is None:
            document = ref.partition("#")[0]
            first, times = outside.get(document, (place, 0))
            outside[document] = first, times + 1
            continue
        if name not in leads:
            leads[name] = _leads_somewhere(look, name)
        if not leads[name]:
            first, times = dangling.get(ref, (place, 0))
            dangling[ref] = first, times + 1
    for ref, (place, times) in dangling.items():
        also = f" {number_of(times - 1, 'other reference')} to it too." if times > 1 else ""
        findings.add(f"{pointer_to(place)}/$ref", f"There is no {quoted(ref)} in this document.{also}")
    for document, (place, times) in outside.items():
        references = "A reference leads" if times == 1 else f"{times:,} references lead"
        findings.add(
            f"{pointer_to(place)}/$ref",
            f"{references} to {quoted(document)}, outside of this document. Portico does not fetch it: bundle all "
            "parts into one document, and import that.",
        )


def _leads_somewhere(look: Look, name: str) -> bool:
    try:
        return look(name) is not None
    except LookupError:
        return False
