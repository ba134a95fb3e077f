"""Erasure of answers: removes streams from the rows of audits and surveys, for data.forget and data.purge."""

from __future__ import annotations

from collections.abc import Callable

from data.storage.audits import AuditStore
from data.storage.catalog import Catalog
from data.storage.erasure import Erased
from data.storage.run_store import RunStore
from data.storage.surveys import SurveyStore


def in_answers(catalog: Catalog | None, work: Callable[[RunStore], int]) -> Erased:
    """Count or remove rows of audits, then of surveys; return how many. catalog: None without a database.

    work: calls one of the methods of RunStore that erase. Raises CatalogUnavailable.
    """
    if not catalog:
        return Erased()
    audits, surveys = AuditStore(catalog.transactions), SurveyStore(catalog.transactions)
    return Erased(audited=work(audits), surveyed=work(surveys))
