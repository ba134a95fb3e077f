"""Home Assistant discovery: one message that makes a source a device with three entities.

The form is that of https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, of a device, from 2024.12 on.
"""

from __future__ import annotations

import re
from typing import Any

_NAME = "TwitchCategory"
_REPOSITORY = "https://github.com/molokhovdmitry/TwitchCategory"
_UNSAFE = re.compile("[^A-Za-z0-9_-]+")


def discovery_topic(discovery: str, prefix: str, node: str) -> str:
    """Return the topic of a source's discovery message. `prefix`: of our topics; it tells two watches apart."""
    return f"{discovery}/device/{_UNSAFE.sub('_', prefix)}/{node}/config"


def discovery_message(prefix: str, node: str, name: str, url: str) -> dict[str, Any]:
    """Return the discovery message of a source.

    prefix: of our topics. node: the source's part of them. name: for people. url: of the channel; "": none.
    """
    topic, unique = f"{prefix}/{node}", f"{_UNSAFE.sub('_', prefix)}_{node}"
    device = {"identifiers": [unique], "name": name, "manufacturer": _NAME, "model": "Stream"}
    state = {"state_topic": f"{topic}/state"}
    game = {"platform": "sensor", "name": "Game", "icon": "mdi:controller", **state}
    # For JSON's null the template gives "None", which Home Assistant shows as unknown.
    game |= {"value_template": "{{ value_json.game }}", "json_attributes_topic": f"{topic}/state"}
    mismatch = {"platform": "binary_sensor", "name": "Category differs", "device_class": "problem", **state}
    mismatch["value_template"] = "{{ {True: 'ON', False: 'OFF'}.get(value_json.mismatch, 'None') }}"
    image = {"platform": "image", "name": "Frame", "image_topic": f"{topic}/image", "content_type": "image/jpeg"}
    entities = {"game": game, "mismatch": mismatch, "frame": image}
    return {
        "device": device | ({"configuration_url": url} if url else {}),
        "origin": {"name": _NAME, "support_url": _REPOSITORY},
        "components": {key: {**entity, "unique_id": f"{unique}_{key}"} for key, entity in entities.items()},
        "availability": [{"topic": f"{prefix}/status"}],
        "qos": 1,
    }
