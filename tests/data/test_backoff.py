"""data.backoff: the pauses between attempts."""

from __future__ import annotations

from itertools import pairwise

from data.backoff import Backoff


def test_pauses_when_attempts_fail_double_up_to_the_limit():
    """0.5, 1, 2, 4 s, and then the limit each time; each one counts as an attempt."""
    backoff = Backoff(60, max_s=5)
    assert [backoff.next_pause_s() for _ in range(6)] == [0.5, 1, 2, 4, 5, 5]
    assert backoff.attempts == 6


def test_pause_when_it_exceeds_the_budget_is_refused():
    """A pause must end within the budget; without a budget there is no second attempt."""
    backoff = Backoff(3, first_s=2)
    assert backoff.next_pause_s() == 2
    assert backoff.next_pause_s() is None
    assert backoff.attempts == 1
    assert Backoff(0).next_pause_s() is None


def test_allows_when_another_wait_shares_the_budget_compares_it():
    """Waits for other reasons, such as a rate limit, are checked against the same budget."""
    assert Backoff(10).allows(9)
    assert not Backoff(10).allows(11)


def test_jitter_when_set_lengthens_pauses_by_up_to_its_fraction():
    """Pauses differ, grow, and stay within the fraction."""
    backoff = Backoff(1e6, first_s=1, jitter=0.5)
    pauses = [backoff.next_pause_s() or 0 for _ in range(10)]
    assert all(2**n <= pause <= 1.5 * 2**n for n, pause in enumerate(pauses))
    assert all(first < second for first, second in pairwise(pauses))
    assert any(pause != 2**n for n, pause in enumerate(pauses))


def test_pauses_when_there_are_thousands_of_attempts_stay_at_the_limit():
    """An outage of days overflows no number."""
    backoff = Backoff(1e9, max_s=5)
    assert [backoff.next_pause_s() for _ in range(3000)][-1] == 5
