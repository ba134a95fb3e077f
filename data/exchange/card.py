"""Dataset card: README.md with the metadata of the Hugging Face Hub, for people and for the Hub's viewer.

Its front matter: https://huggingface.co/docs/hub/datasets-cards, .../datasets-manual-configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from data.exchange.facts import Facts
from data.exchange.image_folder import SPLIT_FOLDERS
from data.text import plural

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (0, "n>1M"))
_LANGUAGE = re.compile("[a-z]{2,3}")
_TERMS = "https://legal.twitch.com/legal/developer-agreement/"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!&$~])")
LICENCE = (
    "The pictures show games and streams: rights in them remain with the games' publishers and the streamers. Data of "
    f"Twitch's API falls under Twitch's Developer Services Agreement ({_TERMS}), which limits what may be stored and "
    "passed on. Nothing here grants a licence. Check whether you may use and publish the dataset before you do."
)


def title(facts: Facts) -> str:
    """Return the dataset's name for people."""
    return f"Frames of {plural(len(facts.layout.games), 'game')} from live streams"


def to_card(facts: Facts) -> str:
    """Return the dataset card."""
    return "\n".join([*_front_matter(facts), "", *_description(facts), *_table(facts), *_columns(facts)]) + "\n"


def _front_matter(facts: Facts) -> Iterator[str]:
    yield "---"
    yield f"pretty_name: {json.dumps(title(facts))}"
    yield from ("license: other", "license_name: see-the-card", f"license_link: {_TERMS}")
    languages = sorted(language for language in facts.languages if _LANGUAGE.fullmatch(language))
    if languages:
        yield f"language: {json.dumps(languages)}"  # quoted: YAML takes `no` for false
    yield "task_categories: [image-classification]"
    yield "tags: [video-games, twitch, live-streams]"
    size = next(name for limit, name in _SIZES if facts.total < limit or not limit)
    yield f"size_categories: [{json.dumps(size)}]"
    patterns = {"parquet": "data/{0}-*.parquet", "webdataset": "data/{0}-*.tar", "imagefolder": "{1}/**"}
    if facts.format in patterns:
        yield from ("configs:", "- config_name: default", "  data_files:")
        for split in facts.splits:
            pattern = patterns[facts.format].format(split, SPLIT_FOLDERS[split])
            yield from (f"  - split: {split}", f"    path: {json.dumps(pattern)}")
    if facts.format == "webdataset":
        yield from _webdataset_features(facts)
    yield "---"


def _webdataset_features(facts: Facts) -> Iterator[str]:
    """Yield the types of the members; `datasets` would take them from five samples, whose values may be unknown."""
    types = {"integer": "int64", "text": "string", "time": "string"}
    yield from ("dataset_info:", "  features:")
    yield from ("  - {name: jpg, dtype: image}", "  - {name: cls, dtype: int64}", "  - name: json", "    struct:")
    yield from (f"    - {{name: {name}, dtype: {types[column.kind]}}}" for name, column in facts.layout.columns.items())
    yield from (f"  - {{name: {name}, dtype: string}}" for name in ("__key__", "__url__"))


def _description(facts: Facts) -> Iterator[str]:
    pictures = "JPEG pictures" if facts.layout.pictures else "descriptions, without the pictures,"
    yield from (f"# {title(facts)}", "")
    yield (
        f"{facts.total:,} {pictures} of what live streams show, each labelled with the game that its streamer "
        "declared. Streamers forget to change that label, talk, or show a menu: expect wrong labels."
    )
    yield from ("", "## How it was collected", "")
    yield (
        "The toolkit twitchcategory took single frames of streams and recordings, or pictures that were there already, "
        "and scaled them to a square. Of streams it leaves out black, frozen and repeated frames. Empty values are "
        "unknown."
    )
    known = {language: count for language, count in facts.languages.most_common() if language}
    languages = ", ".join(f"{_escaped(language)} {count:,}" for language, count in known.items())
    dates = f"{min(facts.days)} to {max(facts.days)}" if facts.days else "unknown"
    yield from ("", f"- Dates: {dates}", f"- Languages of the streams, in frames: {languages or 'unknown'}")
    people = (
        "their logins" if facts.logins else "keyed hashes of their logins, which say who is the same, not who it is"
    )
    yield from (f"- Streamers: {people}", "", "## Licence and terms", "", LICENCE, "")


def _table(facts: Facts) -> Iterator[str]:
    yield from ("## Games and splits", "")
    yield "A streamer, and so a stream, is in one split only. Each cell: frames / streamers."
    splits = facts.splits
    yield from ("", f"| game | id | {' | '.join(splits)} |", f"|---|---|{'---|' * len(splits)}")
    for game_id, name in facts.layout.games.items():
        cells = [f"{facts.samples[s, game_id]:,} / {len(facts.streamers.get((s, game_id), ())):,}" for s in splits]
        yield f"| {_escaped(name)} | {game_id} | {' | '.join(cells)} |"
    cells = [f"{facts.samples_of(split):,} / {facts.streamers_of(split):,}" for split in splits]
    yield from (f"| all | | {' | '.join(cells)} |", "")


def _columns(facts: Facts) -> Iterator[str]:
    yield from ("## Columns", "", "| column | meaning |", "|---|---|")
    for name, column in facts.layout.columns.items():
        yield f"| `{name}` | {column.description} |"
    if facts.format == "parquet":
        yield "| `label` | number of the game: its place in games.tsv, from 0 |"
    if facts.layout.feature_size:
        network = _escaped(facts.layout.network)
        yield f"| `features` | vector of the frame by the network {network}, float16; NaN where it was not computed |"


def _escaped(text: str) -> str:
    """Return the text without what Markdown or HTML obeys."""
    return _MARKDOWN.sub(r"\\\1", text)
