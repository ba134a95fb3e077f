"""Settings of the toolkit: name, type, unit, default and meaning of each one, and the only place for a default.

Change a value here, or set a variable of the same name in upper case, in the environment or in a file `.env` in
the working directory. The environment takes precedence over `.env`, and both take precedence over this file.

    CLIENT_ID=abc ACCESS_TOKEN=def python -m data.download
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from data.http.loopback import loopback_url
from data.settings import fields
from data.settings.messages import settings_error
from data.settings.variables import warn_renamed, written_values

# Twitch categories that are not games although some have an IGDB id: the original project's list. In this order: Just
# Chatting, Music, Art, Sports, Talk Shows & Podcasts, Science & Technology, Games + Demos, Stocks And Bonds, Chess,
# GeoGuessr, Retro, ASMR, Poker, Slots.
NON_GAMES = frozenset(
    {509658, 26936, 509660, 518203, 417752, 509670, 66082, 5899, 743, 369418, 27284, 509659, 488190, 498566}
)

# Settings that were renamed. Their former names still work, with a warning.
_FORMER_NAMES = {
    "db_reconnect_s": "db_wait_s",
    "max_streamer_fraction": "streamer_share",
    "game_cooldown_s": "rest_s",
    "helix_retry_budget_s": "helix_budget_s",
    "helix_retry_interval_s": "helix_pause_s",
    "lr_schedule": "schedule",
    "warmup_fraction": "warmup",
    "sampling_balance": "balance",
    "augment_center": "augment_scene",
    "unknown_fraction": "unknown_share",
}

# What a different value of a setting changes. Every setting of the section Model carries one of the two markers.
CHANGES_MODEL, KEEPS_MODEL = "changes the model", "keeps the model"
_T = TypeVar("_T")
ChangesModel = Annotated[_T, CHANGES_MODEL]  # another value trains another model: --resume refuses it
KeepsModel = Annotated[_T, KEEPS_MODEL]  # speed, memory and additional files only


def _replace_former_score(value: Any) -> Any:
    if value != "likeness":
        return value
    warn_renamed("UNKNOWN_SCORE=likeness", "UNKNOWN_SCORE=feature_similarity")
    return "feature_similarity"


def _read_int8(value: Any) -> Any:
    with suppress(ValidationError):  # as other switches are read: yes, on, 1 and so on
        value = TypeAdapter(bool).validate_python(value)
    return str(value).lower()


_STANDIN = fields.Form("http:// to a loopback address with a port")
UnknownScore = Literal["feature_similarity", "energy", "max_logit", "max_probability"]
Int8 = Literal["auto", "true", "false"]


class Settings(BaseModel):
    """All settings, read once and validated once. Commands hold an instance; workers take the values they need.

    Each argument takes precedence over the environment, then comes `.env`. Raises SettingsError: the message names
    every invalid setting, and what it must be.
    """

    model_config = ConfigDict(
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,  # a default may be changed above
        allow_inf_nan=False,
        str_max_length=4096,
    )

    def __init__(self, _env_file: Path | None = Path(".env"), **values: Any) -> None:
        cls = type(self)
        try:
            super().__init__(**written_values(cls.model_fields, _FORMER_NAMES, _env_file) | values)
        except ValidationError as error:
            raise settings_error(error, cls.model_fields) from None  # its text holds the values of secrets

    # --- Twitch API: https://dev.twitch.tv/console/apps -----------------------------------------
    client_id: fields.Identifier = ""
    """Client ID of your Twitch application."""
    access_token: fields.Token = SecretStr("")
    """App access token. With client_secret it may stay empty: the toolkit then requests and renews tokens itself."""
    client_secret: fields.Token = SecretStr("")
    """Client secret of your Twitch application."""

    # --- PostgreSQL -----------------------------------------------------------------------------
    db_host: fields.Server = ""
    """Host of the server, or its socket's folder. Empty: an embedded PostgreSQL in download_path, run on demand."""
    db_port: int = Field(5432, ge=1, le=65535)
    """TCP port of the server."""
    db_name: fields.Name = "twitchcategory"
    """Database name. On your own server the database must exist."""
    db_user: fields.Name = "postgres"
    """Role to connect as."""
    db_password: SecretStr = SecretStr("")
    """Password of the role."""
    db_reconnect_s: fields.Seconds = Field(60.0, ge=0)
    """Seconds to retry after a lost connection, such as during a restart. At the start the server must be up."""

    # --- Dataset --------------------------------------------------------------------------------
    download_path: fields.FilePath = Path("dataset")
    """Dataset folder: frames/ holds the images, postgres/ the embedded database."""
    store_url: fields.StoreUrl = ""
    """Address of the frames for fsspec, such as s3://bucket/set/frames. Empty: the folder frames in download_path."""
    img_size: ChangesModel[int] = Field(240, ge=32, le=1080)
    """Height and width of a frame, pixels."""
    jpeg_quality: int = Field(95, ge=1, le=100)
    """JPEG quality of a saved frame, 1 to 100."""
    max_games: fields.Count = Field(50, ge=1)
    """Maximum number of games in the dataset."""
    min_streamers: int = Field(90, ge=1, le=1000)
    """Minimum number of live streams for a game to be added."""
    non_games: fields.IdSet = NON_GAMES
    """Ids of categories that are never added, by commas or as JSON. Those without an IGDB id are always skipped."""
    exclude_games: fields.EntryList = ()
    """Names or ids of games to leave out of a download, by commas or as JSON; @path: a file with one a line."""
    exclude_streamers: fields.EntryList = ()
    """Logins of streamers to leave out of a download, by commas or as JSON; @path: a file with one a line."""
    streams_per_game: fields.Count = Field(5, ge=1)
    """Streams to grab from a game in one round."""
    stream_tries: fields.Count = Field(10, ge=1)
    """Maximum number of streams of a game to try in one round."""
    frames_per_stream: fields.Count = Field(15, ge=1)
    """Maximum number of frames from one stream. A live playlist holds about 15 segments."""
    max_streamer_fraction: float = Field(0.1, gt=0, le=1)
    """Maximum fraction of a game's frames from one streamer, beyond the first frames_per_stream; 1: no limit."""
    filter_frames: bool = True
    """Reject frames that are black, of one colour, a test card, or a duplicate within their stream."""
    languages: fields.Languages = ()
    """Stream languages: ISO 639-1 codes or other, separated by commas or as a JSON list. Empty: all."""
    parallel_streams: int = Field(8, ge=1, le=64)
    """Streams to grab at the same time, in a download or a survey; on a cluster, by each CPU."""
    games_interval_s: fields.Seconds = Field(600.0, gt=0)
    """Seconds between two searches for new games, while the dataset has fewer than max_games."""
    game_cooldown_s: fields.Seconds = Field(600.0, ge=0)
    """Seconds to skip a game after none of its streams gave a frame."""
    info_interval_s: fields.Seconds = Field(300.0, gt=0)
    """Seconds between two reports on the dataset during a download."""

    # --- Cluster ---------------------------------------------------------------------------------
    ray_address: fields.RayAddress = ""
    """Ray cluster that commands run on: host:port, auto, or local to start one. Empty: threads of this process."""

    # --- Network --------------------------------------------------------------------------------
    quality: fields.Name = "auto"
    """Rendition: auto (the smallest that covers img_size), best, worst, or a name such as 360p, else that of auto."""
    frame_interval_s: fields.Interval = 0.0
    """Stream seconds between two frames. 0: one frame per segment; in a file, frames evenly spread."""
    timeout_s: fields.Seconds = Field(10.0, gt=0)
    """Seconds to wait for a connection, or between two bytes."""
    deadline_s: fields.Seconds = Field(30.0, gt=0)
    """Maximum seconds for one whole response, however steadily it arrives."""
    helix_retry_budget_s: fields.Seconds = Field(120.0, gt=0)
    """Seconds that one Helix request may spend on retries and rate limits before Helix counts as unavailable."""
    helix_retry_interval_s: fields.Seconds = Field(30.0, gt=0)
    """Seconds between two attempts of the download while Helix is unavailable."""
    ad_wait_s: fields.Seconds = Field(75.0, ge=0)
    """Seconds that recognition waits for a pre-roll ad to end. A download takes another stream instead."""
    twitch_standin: Annotated[str, AfterValidator(lambda url: url and loopback_url(url)), _STANDIN] = ""
    """Loopback URL of a stand-in for Twitch, such as http://127.0.0.1:8080. Tests and the demo use it."""

    # --- Recognition ----------------------------------------------------------------------------
    webhook_secret: SecretStr = SecretStr("")
    """Secret that signs the requests of webhooks by HMAC-SHA256. Empty: no signature."""
    alerts: SecretStr = SecretStr("")
    """URLs that a watch sends its alerts to, beside those of --alert; separated by spaces. They may hold secrets."""
    outbox_path: fields.FilePath = Path("outbox.sqlite")
    """File of the alerts that are not delivered yet."""
    audit_path: fields.FilePath = Path("audits")
    """Folder of the reports of audits."""
    metrics_host: fields.Host = "127.0.0.1"
    """Local address or host name that --metrics listens on; 0.0.0.0: all addresses."""

    # --- Dashboard ------------------------------------------------------------------------------
    dashboard_token: SecretStr = SecretStr("")
    """Token that the dashboard asks for. Empty: that of --new-token, if any; without one, only this machine may ask."""
    dashboard_hosts: fields.EntryList = ()
    """Host names under which browsers may reach the dashboard, beside this machine's own and --host."""
    dashboard_sources: fields.EntryList = ()
    """Host names, beside Twitch's, of sites whose addresses visitors of the dashboard may ask for."""

    # --- Model: each setting says whether a trained model depends on it ---------------------------
    model_path: KeepsModel[fields.FilePath] = Path("model")
    """Folder of model.h5, model.onnx, classes.txt and results/."""
    architecture: ChangesModel[str] = "efficientnet_lite0"
    """Network: cnn (the original's four convolutions), efficientnet_lite0, mobilenet_v2 or efficientnet_v2_b0."""
    initial_weights: ChangesModel[str] = "shipped"
    """Initial weights of the backbone: shipped (efficientnet_lite0 only, otherwise none), imagenet, none, or a file."""
    fine_tune: ChangesModel[str] = "upper"
    """Backbone layers to train after the head: none, upper, all, or the name of the first layer."""
    epochs: ChangesModel[fields.Count] = Field(10, ge=1)
    """Maximum number of epochs; with initial weights, of the head only."""
    fine_tune_epochs: ChangesModel[fields.Count] = Field(4, ge=1)
    """Maximum number of epochs for the head together with the fine_tune layers."""
    patience: ChangesModel[fields.Count] = Field(4, ge=0)
    """Early stopping: epochs without a lower validation loss. The best one is kept. 0: train all, keep the last."""
    time_limit_min: ChangesModel[float] = Field(0.0, ge=0, le=1_000_000)
    """Minutes by which the last epoch must end, refit excluded; 0: no limit."""
    learning_rate: ChangesModel[float] = Field(1e-3, gt=0, le=100)
    """Learning rate of AdamW."""
    fine_tune_learning_rate: ChangesModel[float] = Field(1e-4, gt=0, le=100)
    """Learning rate while the fine_tune layers train."""
    lr_schedule: ChangesModel[Literal["cosine", "constant"]] = "cosine"
    """Learning-rate schedule: cosine decay to 0, or constant."""
    warmup_fraction: ChangesModel[float] = Field(0.05, ge=0, lt=1)
    """Fraction of the steps in which a cosine schedule first raises the learning rate from 0."""
    dropout: ChangesModel[float] = Field(0.3, ge=0, lt=1)
    """Dropout rate before the last layer."""
    label_smoothing: ChangesModel[float] = Field(0.05, ge=0, lt=1)
    """Label smoothing: fraction of each label that is spread over all games."""
    weight_decay: ChangesModel[float] = Field(1e-3, ge=0, le=100)
    """Weight decay of AdamW."""
    sampling_balance: ChangesModel[Literal["streamers", "games", "none"]] = "streamers"
    """Balanced sampling: over games and their streamers, over games only, or none (each frame once an epoch)."""
    class_weights: ChangesModel[bool] = False
    """Weight the loss of each game by the inverse of its number of frames."""
    validation_split: ChangesModel[float] = Field(0.2, gt=0, lt=1)
    """Fraction of each game's streamers held out for validation, at least one."""
    validation_streamers: ChangesModel[fields.NameList] = ()
    """Logins to hold out for validation instead of a random split, separated by commas or as a JSON list."""
    batch_size: ChangesModel[fields.Count] = Field(0, ge=0)
    """Images in a training step over all devices. 0: 32 on a CPU; on a GPU what its memory holds, at most 128."""
    prefetch_buffer: KeepsModel[fields.Count] = Field(2, ge=1)
    """Batches prepared ahead of the training step."""
    cache_memory_gb: KeepsModel[float] = Field(2.0, ge=0, le=1_000_000)
    """Maximum size in GB of the decoded frames in memory: 12,000 frames of 240 pixels take 2."""
    cache_disk_gb: KeepsModel[float] = Field(20.0, ge=0, le=1_000_000)
    """Maximum GB of a file in model_path that caches what exceeds cache_memory_gb, at most half of the free disk."""
    augment: ChangesModel[bool] = True
    """Augment training images. Each epoch draws new versions; a head that trains alone gets augment_views of each."""
    augment_views: ChangesModel[fields.Count] = Field(3, ge=1)
    """Augmented versions of each image, computed once, while only the head trains."""
    augment_screens: ChangesModel[bool] = True
    """While only the head trains, also train on synthetic negatives (screens that show no game), target uniform."""
    augment_center: ChangesModel[float] = Field(0.67, ge=0, le=1)
    """Probability of a replaced image centre, so that the model also learns the HUD around it."""
    augment_crop: ChangesModel[float] = Field(0.5, ge=0, le=1)
    """Probability of a random crop to 80 to 100 % of the sides."""
    augment_color: ChangesModel[float] = Field(0.5, ge=0, le=1)
    """Probability of a change of brightness, contrast and colour."""
    augment_webcam: ChangesModel[float] = Field(0.3, ge=0, le=1)
    """Probability of a webcam in a corner or at an edge."""
    augment_chat: ChangesModel[float] = Field(0.2, ge=0, le=1)
    """Probability of a chat column."""
    augment_alert: ChangesModel[float] = Field(0.2, ge=0, le=1)
    """Probability of an alert box."""
    augment_banner: ChangesModel[float] = Field(0.15, ge=0, le=1)
    """Probability of a banner along the top or bottom."""
    augment_blur: ChangesModel[float] = Field(0.2, ge=0, le=1)
    """Probability of a blur, as from a rendition of 33 to 90 % of the size."""
    augment_jpeg: ChangesModel[float] = Field(0.3, ge=0, le=1)
    """Probability of a second JPEG compression with quality 15 to 70."""
    refit: ChangesModel[bool] = False
    """Finally retrain on all frames, validation included, for the best number of epochs of the split."""
    unknown_fraction: ChangesModel[float] = Field(0.1, ge=0, lt=1)
    """Least fraction of recognised validation frames to call unknown; of streams at most half of it. 0: none."""
    unknown_score: ChangesModel[Annotated[UnknownScore, BeforeValidator(_replace_former_score)]] = "max_logit"
    """Score that separates known from unknown frames: feature_similarity uses features, the others logits."""
    int8: KeepsModel[Annotated[Int8, BeforeValidator(_read_int8)]] = "auto"
    """Recognise with model.int8.onnx, if the model has one: about twice as fast. auto: in surveys only."""
    visualize_results: KeepsModel[bool] = True
    """Draw the training curves and the confusion matrix after training."""
    tensorboard_path: KeepsModel[fields.OptionalPath] = ""
    """Folder for TensorBoard logs. Empty: no logs."""
    mixed_precision: ChangesModel[bool] = True
    """Compute in float16 on a CUDA GPU. Without one it has no effect."""
    xla: ChangesModel[bool] = True
    """Compile the training step with XLA on a single GPU."""
    all_gpus: KeepsModel[bool] = True
    """Train on all GPUs of the machine instead of the first only. For several machines, set TF_CONFIG on each."""
    seed: ChangesModel[int] = Field(123, ge=0, lt=2**32)
    """Seed of every random choice: split, sampling, weights, dropout, augmentation, streams of a download."""


def model_settings() -> set[str]:
    """Return the names of the settings that a trained model depends on."""
    return {name for name, field in Settings.model_fields.items() if CHANGES_MODEL in field.metadata}


def load() -> Settings:
    """Read the settings from this file, `.env` and the environment. Raises SettingsError."""
    return Settings()
