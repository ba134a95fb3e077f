"""Options of jobs, as a request states them, and the words and variables that they become.

No option is a path: a model's folder is a name beside MODEL_PATH. A text becomes one word `--option=text`, so that it
cannot be another option; `@` at the start of a game, which stands for a file on the command line, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from data.settings.fields import Languages
from model.networks.backbones import ARCHITECTURES

Kind = Literal["download", "train", "check", "survey"]


def _check_game(text: str) -> str:
    text = text.strip()
    if not text or text.startswith("@") or not text.isprintable():
        raise ValueError("must be a game's name or id")
    return text


GameText = Annotated[str, Field(max_length=200), AfterValidator(_check_game)]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class _Options(BaseModel):
    """Options of one kind of job."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
    kind: ClassVar[Kind]

    def words(self) -> list[str]:
        """Return the arguments of the command."""
        raise NotImplementedError

    def variables(self) -> dict[str, str]:
        """Return the settings of the command that differ from the server's."""
        return {}

    def _given(self, *names: str) -> Iterable[str]:
        """Yield a word for each of these options that has a value; a list gives a word for each of its items."""
        for name in names:
            value: Any = getattr(self, name)
            option = f"--{name.replace('_', '-')}"
            if value is True:
                yield option
            elif value not in (None, False):
                is_whole = isinstance(value, float) and value.is_integer()
                yield f"{option}={int(value) if is_whole else value}"


class DownloadOptions(_Options):
    """Options of a download; without a limit it goes on until it is stopped."""

    kind: ClassVar[Kind] = "download"
    games: Annotated[Sequence[GameText], Field(max_length=50)] = ()
    """Names or ids of the only games to collect; none: popular ones."""
    frames: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    """Stop after this number of frames."""
    minutes: Annotated[float | None, Field(gt=0, le=100_000)] = None
    """Stop after this time."""
    until: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    """Stop when every game has this number of frames."""

    def words(self) -> list[str]:
        """Return the arguments of data.download."""
        return [f"--game={game}" for game in self.games] + [*self._given("frames", "minutes", "until")]


class TrainOptions(_Options):
    """Options of a training."""

    kind: ClassVar[Kind] = "train"
    model: FolderName | None = None
    """Name of the model's folder, beside MODEL_PATH; none: MODEL_PATH, whose model is replaced at the end."""
    epochs: Annotated[int | None, Field(ge=1, le=10_000)] = None
    """Maximum number of epochs, of the head's training and of the fine-tuning each."""
    time_limit_min: Annotated[float | None, Field(ge=0, le=100_000)] = None
    """Minutes by which the last epoch must end."""
    architecture: Literal[ARCHITECTURES] | None = None  # type: ignore[valid-type]
    """Network."""
    folds: Annotated[int | None, Field(ge=2, le=20)] = None
    """Number of folds for cross-validation."""
    resume: bool = False
    """Resume an interrupted training."""

    def words(self) -> list[str]:
        """Return the arguments of model.create."""
        return [*self._given("epochs", "architecture", "folds", "resume")]

    def variables(self) -> dict[str, str]:
        """Return the limits that only settings have."""
        limits = {"FINE_TUNE_EPOCHS": self.epochs, "TIME_LIMIT_MIN": self.time_limit_min}
        return {name: str(limit) for name, limit in limits.items() if limit is not None}


class CheckOptions(_Options):
    """Options of a check of the dataset."""

    kind: ClassVar[Kind] = "check"
    no_effect: bool = False
    """Do not measure what cleaning does to the accuracy, which takes longest."""

    def words(self) -> list[str]:
        """Return the arguments of model.check."""
        return [*self._given("no_effect")]


class SurveyOptions(_Options):
    """Which live streams to survey: those of a category, those with the most viewers, or both."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"top_streams": 100, "frames": 5, "languages": ["en"]}]})
    kind: ClassVar[Kind] = "survey"
    game: GameText | None = None
    """Category by its name."""
    top_streams: Annotated[int | None, Field(ge=1, le=5000)] = None
    """Only this number of streams, those with the most viewers."""
    frames: Annotated[int | None, Field(ge=1, le=100)] = None
    """Frames of each stream at most."""
    preview: bool = False
    """Classify the preview image first, the stream only if that is not certain."""
    languages: Annotated[Languages, MinLen(0)] = ()
    """Languages of the streams, ISO 639-1; none: all."""

    @model_validator(mode="after")
    def _check(self) -> SurveyOptions:
        if not (self.game or self.top_streams):
            raise ValueError("name a game, or a number of top streams")
        return self

    def words(self) -> list[str]:
        """Return the arguments of recognition.recognize."""
        return [*self._given("game", "top_streams", "frames", "preview")]

    def variables(self) -> dict[str, str]:
        """Return the languages, which are a setting."""
        return {"LANGUAGES": ",".join(self.languages)} if self.languages else {}


class DownloadOrder(BaseModel):
    """A download to start."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "download", "options": {"games": ["Chess"], "frames": 500}}]}
    )
    kind: Literal["download"]
    options: DownloadOptions = DownloadOptions()


class TrainOrder(BaseModel):
    """A training to start."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "train", "options": {"model": "model-2", "epochs": 5}}]}
    )
    kind: Literal["train"]
    options: TrainOptions = TrainOptions()


class CheckOrder(BaseModel):
    """A check to start."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "check", "options": {"no_effect": True}}]})
    kind: Literal["check"]
    options: CheckOptions = CheckOptions()


Options = DownloadOptions | TrainOptions | CheckOptions | SurveyOptions
JobOrder = Annotated[DownloadOrder | TrainOrder | CheckOrder, Field(discriminator="kind")]
