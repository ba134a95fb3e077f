"""Erasure of answers: removes streams from the rows of audits and surveys, for data.forget and data.purge."""

from __future__ import annotations

from collections.abc import Callable, Collection

from data.storage.audits import AuditStore
from data.storage.catalog import Catalog
from data.storage.erasure import Erased
from data.storage.run_store import RunStore
from data.storage.surveys import SurveyStore


class AnswerEraser:
    """Counts and removes answers. Every method raises CatalogUnavailable. catalog: None without a database."""

    def __init__(self, catalog: Catalog | None) -> None:
        self._catalog = catalog

    def count(self, logins: Collection[str]) -> Erased:
        """Return the numbers of answers for these logins."""
        return self._each(lambda store: store.count(logins))

    def remove(self, logins: Collection[str]) -> Erased:
        """Remove the answers for these logins; return how many."""
        return self._each(lambda store: store.remove(logins))

    def count_older(self, before: float) -> Erased:
        """Return the numbers of answers from before a time, epoch seconds. None is from before 1970."""
        return self._each(lambda store: store.count_older(max(before, 0.0)))

    def remove_older(self, before: float) -> Erased:
        """Remove the answers from before a time, epoch seconds; return how many."""
        return self._each(lambda store: store.remove_older(max(before, 0.0)))

    def _each(self, work: Callable[[RunStore], int]) -> Erased:
        if not self._catalog:
            return Erased()
        transactions = self._catalog.transactions
        return Erased(audited=work(AuditStore(transactions)), surveyed=work(SurveyStore(transactions)))
