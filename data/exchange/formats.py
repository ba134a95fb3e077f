"""Registry of the formats of exports."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data.exchange.layout import Format, Layout


def make_format(name: str, layout: Layout) -> Format:
    """Return the format of this name in `FORMATS`."""
    return FORMATS[name](layout)


def _parquet(layout: Layout) -> Format:
    from data.exchange.parquet_shards import ParquetShards

    return ParquetShards(layout)


def _webdataset(layout: Layout) -> Format:
    from data.exchange.webdataset_shards import WebDatasetShards

    return WebDatasetShards(layout)


def _image_folder(layout: Layout) -> Format:
    from data.exchange.image_folder import ImageFolder

    return ImageFolder(layout)


def _fiftyone(layout: Layout) -> Format:
    from data.exchange.fiftyone_dataset import FiftyOneDataset

    return FiftyOneDataset(layout)


FORMATS: Mapping[str, Callable[[Layout], Format]] = {
    "parquet": _parquet,
    "webdataset": _webdataset,
    "imagefolder": _image_folder,
    "fiftyone": _fiftyone,
}
