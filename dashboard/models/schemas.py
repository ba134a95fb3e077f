"""Schemas: what the API says of a model, its reports and the models beside it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboard.models import examples

ReportKind = Literal["training", "evaluation"]
_Fraction = float | None
Count = Annotated[int, Field(ge=0, le=10**12)]


class GameOfModel(BaseModel):
    """A game that a model knows. The id is a text: JavaScript's numbers cannot hold all of them."""

    id: str
    name: str


class ModelFile(BaseModel):
    """A file of a model's folder."""

    name: str
    bytes: int
    modified: str = Field(description="time of the last change, ISO 8601, UTC")


class CalibrationInfo(BaseModel):
    """What a model's answers are compared with."""

    temperature: float
    score: str = Field(description="name of the score that tells unknown frames")
    threshold: float | None = Field(description="frames of a lower score are unknown; null: none is")
    stream_threshold: float | None = Field(description="streams of a lower confidence are unknown, 0 to 1")


class ModelInfo(BaseModel):
    """A model: that of MODEL_PATH, or one beside it."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.MODEL]})

    found: bool
    message: str = Field(description="what is missing and what to do; empty if the model can be used")
    name: str = Field(description="of its folder")
    current: bool = Field(description="whether it is the one that recognition uses")
    shipped: bool = Field(description="whether it is the model that comes with the toolkit")
    loaded: bool
    loaded_at: str | None = None
    changed: bool = Field(False, description="whether the files have changed since; the next recognition loads them")
    file: str = Field("", description="the file that recognition uses")
    int8: bool = False
    threads: int = 1
    img_size: int = 0
    trained: str | None = None
    architecture: str | None = None
    calibration: CalibrationInfo | None = None
    files: list[ModelFile] = []
    classes: list[GameOfModel] = []


class ModelCard(BaseModel):
    """A model's card; Markdown, which stands in model_card.md."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CARD]})

    text: str | None
    message: str = ""


class GameReport(BaseModel):
    """How well the frames of a game are recognised."""

    id: str | None
    name: str
    known: bool = Field(description="whether the model knows the game")
    frames: Count
    streamers: Count
    accuracy_by_frame: _Fraction = None
    accuracy_by_stream: _Fraction = None
    f1: _Fraction = None
    called_unknown: _Fraction = None


class ReliabilityBin(BaseModel):
    """Frames whose confidence lies in one interval."""

    frames: Count
    confidence: float
    accuracy: float


class Report(BaseModel):
    """Metrics of a model on frames whose games are known; fractions are 0 to 1."""

    kind: ReportKind
    date: str | None = None
    folder: str | None = Field(None, description="of the images; null: validation frames of the training")
    is_current: bool | None = Field(None, description="whether it is of the model in the folder now; null: not known")
    frames: Count
    streams: Count
    accuracy_by_frame: float
    accuracy_by_stream: float
    top3_by_frame: float
    macro_f1: _Fraction = None
    nll: float
    ece: float
    false_unknown: _Fraction = Field(None, description="streams of known games that are called unknown")
    missed_unknown: _Fraction = Field(None, description="streams of other games that are taken for a known one")
    games: list[GameReport] = Field(max_length=10_000)
    reliability: list[ReliabilityBin] = []


class Reports(BaseModel):
    """All reports of the model."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.REPORTS]})

    reports: list[Report]
    message: str = ""


class ConfusedPair(BaseModel):
    """Two games of which one is taken for the other."""

    game: GameOfModel
    predicted: GameOfModel
    frames: Count
    fraction: float = Field(description="of the frames of `game`")


class Confusion(BaseModel):
    """Frames by true game (row) and predicted game (column)."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CONFUSION]})

    kind: ReportKind
    classes: list[GameOfModel]
    counts: list[list[Count]]
    pairs: list[ConfusedPair] = Field(description="the most frequent confusions")


class WorstFrame(BaseModel):
    """A frame for which the model named another game, with the probabilities that it gave to both."""

    path: str
    game: GameOfModel
    predicted: GameOfModel
    confidence: float
    probability: float
    picture: str | None = Field(None, description="address of its picture")


class WorstFrames(BaseModel):
    """The frames with the lowest probability of the true game."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.WORST]})

    kind: ReportKind
    frames: list[WorstFrame]
    message: str = ""


class ComparedReport(BaseModel):
    """The metrics by which models are compared."""

    date: str | None
    folder: str | None
    frames: Count
    accuracy_by_frame: float
    accuracy_by_stream: float
    macro_f1: _Fraction


class ComparedModel(BaseModel):
    """A folder that holds a model."""

    name: str
    current: bool
    shipped: bool
    classes: int
    bytes: int
    modified: str
    training: ComparedReport | None = None
    evaluation: ComparedReport | None = None
    message: str = ""


class ComparedModels(BaseModel):
    """The models in MODEL_PATH and in the folders beside it."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.COMPARED]})

    models: list[ComparedModel]
    truncated: bool = False
