"""The API keeps to its own description, for requests that Schemathesis makes from it."""

from __future__ import annotations

from tests.dashboard import attacks


def test_answers_are_those_of_the_description(small_dataset):
    """Valid and invalid requests of each operation: a documented status, type and body, and never a defect."""
    from tests.dashboard import api_schema  # Schemathesis takes a second of each worker that collects the tests

    # Nothing listens there: a request for a channel fails at once, and never leaves this machine.
    settings = small_dataset.settings.model_copy(update={"twitch_standin": "http://127.0.0.1:9"})
    with attacks.attacked_server(settings, "") as target:
        answers = api_schema.check_api(target, examples=1)
    assert sum(answers.values()) > 45
