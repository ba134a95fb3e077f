"""Option --ray: an address in the place of RAY_ADDRESS."""

from __future__ import annotations

import pytest

from config import Settings
from data import download
from data.errors import SettingsError
from data.pool.options import with_ray_option


def test_ray_option_when_given_replaces_the_setting():
    """Without the option, the setting stays."""
    settings = Settings(_env_file=None, ray_address="auto")
    assert with_ray_option(settings, None) is settings
    assert with_ray_option(settings, " head:6379 ").ray_address == "head:6379"


@pytest.mark.parametrize("address", ["", "ray://head:10001", "head"])
def test_ray_option_when_invalid_is_one_line(address: str, capsys: pytest.CaptureFixture[str]):
    """As an invalid RAY_ADDRESS is: no usage, exit code 2, before anything starts."""
    with pytest.raises(SettingsError):
        with_ray_option(Settings(_env_file=None), address)
    assert download.main(["--ray", address]) == 2
    line = f"error: --ray: invalid value {address!r}: must be host:port, auto, or local\n"
    assert capsys.readouterr().err == line
