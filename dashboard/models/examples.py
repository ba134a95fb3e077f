"""Examples of the answers about models, for the API's documentation."""

from __future__ import annotations

from typing import Any

_GAMES = [{"id": "27471", "name": "Minecraft"}, {"id": "1000000000001", "name": "My game"}]
_SCORES = {"frames": 240, "accuracy_by_frame": 0.95, "accuracy_by_stream": 1.0, "macro_f1": 0.95}
_DATE = "2026-11-26T09:26:08+00:00"

MODEL: Any = {
    "found": True,
    "message": "",
    "name": "model",
    "current": True,
    "shipped": False,
    "loaded": True,
    "loaded_at": "2026-11-26T12:00:00+00:00",
    "changed": False,
    "file": "model.onnx",
    "int8": False,
    "threads": 1,
    "img_size": 240,
    "trained": _DATE,
    "architecture": "efficientnet_lite0",
    "calibration": {"temperature": 0.79, "score": "max_logit", "threshold": 6.04, "stream_threshold": 0.18},
    "files": [{"name": "model.onnx", "bytes": 12324612, "modified": _DATE}],
    "classes": _GAMES,
}
CARD: Any = {"text": "# efficientnet_lite0, 2 games\n", "message": ""}
REPORTS: Any = {
    "reports": [
        {
            "kind": "training",
            "date": _DATE,
            "folder": None,
            "is_current": None,
            **_SCORES,
            "streams": 16,
            "top3_by_frame": 1.0,
            "nll": 0.2,
            "ece": 0.03,
            "false_unknown": 0.0,
            "missed_unknown": None,
            "games": [
                {
                    **_GAMES[0],
                    "known": True,
                    "frames": 120,
                    "streamers": 8,
                    "accuracy_by_frame": 0.95,
                    "accuracy_by_stream": 1.0,
                    "f1": 0.95,
                    "called_unknown": None,
                }
            ],
            "reliability": [{"frames": 240, "confidence": 0.96, "accuracy": 0.95}],
        }
    ],
    "message": "",
}
CONFUSION: Any = {
    "kind": "training",
    "classes": _GAMES,
    "counts": [[114, 6], [6, 114]],
    "pairs": [{"game": _GAMES[0], "predicted": _GAMES[1], "frames": 6, "fraction": 0.05}],
}
WORST: Any = {
    "kind": "training",
    "frames": [
        {
            "path": "27471/some_login-3.jpg",
            "game": _GAMES[0],
            "predicted": _GAMES[1],
            "confidence": 0.98,
            "probability": 0.01,
            "picture": "/api/v1/dataset/pictures/27471/some_login/3",
        }
    ],
    "message": "",
}
COMPARED: Any = {
    "models": [
        {
            "name": "model",
            "current": True,
            "shipped": False,
            "classes": 2,
            "bytes": 12324612,
            "modified": _DATE,
            "training": {"date": _DATE, "folder": None, **_SCORES},
            "evaluation": None,
            "message": "",
        }
    ],
    "truncated": False,
}
