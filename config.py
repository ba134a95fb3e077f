"""Every setting of the toolkit: name, type, unit, default and meaning.

Fill the values in here, or leave this file alone and set them from outside: a variable of the same
name in upper case, in the environment or in a file `.env` in the working directory, goes first.

    CLIENT_ID=abc ACCESS_TOKEN=def python -m data.download
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from data.errors import SettingsError

# Categories that are no games although some carry an IGDB id, by Twitch's id: the original's list.
NON_GAMES = frozenset({
    509658,  # Just Chatting
    26936,   # Music
    509660,  # Art
    518203,  # Sports
    417752,  # Talk Shows & Podcasts
    509670,  # Science & Technology
    66082,   # Games + Demos
    5899,    # Stocks And Bonds
    743,     # Chess
    369418,  # GeoGuessr
    27284,   # Retro
    509659,  # ASMR
    488190,  # Poker
    498566,  # Slots
})  # fmt: skip

_LANGUAGE = re.compile(r"[a-z]{2}|other")


class Settings(BaseSettings):
    """The settings, read once and checked once; commands hold it, workers take the values they need."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    # --- Twitch API: https://dev.twitch.tv/console/apps -----------------------------------------
    client_id: str = ""
    """Client ID of your Twitch application."""
    access_token: SecretStr = SecretStr("")
    """App access token. Leave empty when client_secret is given: then one is asked for, and again when it expires."""
    client_secret: SecretStr = SecretStr("")
    """Client secret of your Twitch application."""

    # --- PostgreSQL -----------------------------------------------------------------------------
    db_host: str = ""
    """Server's host name. Empty: an embedded PostgreSQL in download_path, started and stopped on demand."""
    db_port: int = Field(5432, ge=1, le=65535)
    """Server's TCP port."""
    db_name: str = "twitchcategory"
    """Database; it must exist on a server of your own."""
    db_user: str = "postgres"
    """Role to connect as."""
    db_password: SecretStr = SecretStr("")
    """The role's password."""
    db_wait_s: float = Field(60.0, ge=0)
    """Seconds to wait for a PostgreSQL that goes away, as at a restart; at a command's start it must be there."""

    # --- Dataset --------------------------------------------------------------------------------
    download_path: Path = Path("dataset")
    """Folder of the dataset: images in its folder frames, the embedded database in its folder postgres."""
    img_size: int = Field(240, ge=32, le=1080)
    """Height and width of a frame, pixels."""
    jpeg_quality: int = Field(95, ge=1, le=100)
    """JPEG quality of a saved frame, 1 to 100."""
    max_games: int = Field(50, ge=1)
    """Games in the dataset: no more are added once there are so many."""
    min_streamers: int = Field(90, ge=1, le=1000)
    """Live streams that a game needs to be added."""
    non_games: frozenset[int] = NON_GAMES
    """Category ids never added. Categories without an IGDB id are left out anyway."""
    streams_per_game: int = Field(5, ge=1)
    """Streams to grab from before the next game is chosen."""
    stream_tries: int = Field(10, ge=1)
    """Streams to try at most for those."""
    frames_per_stream: int = Field(15, ge=1)
    """Frames to take from one stream at most; a live window holds about 15 segments."""
    streamer_share: float = Field(0.1, gt=0, le=1)
    """Share of a game's frames that may be one streamer's, who may give frames_per_stream in any case; 1: no limit."""
    filter_frames: bool = True
    """Leave out frames that are black or of one colour, repeat one of their stream, or show a test card."""
    languages: Annotated[tuple[str, ...], NoDecode] = ()
    """Languages of the streams to list: ISO 639-1 codes or other, as en,de or a JSON list. Empty: all."""
    parallel_streams: int = Field(8, ge=1, le=64)
    """Streams grabbed at the same time, by a download or a survey."""
    games_interval_s: float = Field(600.0, gt=0)
    """Seconds between two looks for more games, while there are fewer than max_games."""
    rest_s: float = Field(600.0, ge=0)
    """Seconds to leave a game alone after none of its streams gave a frame."""
    info_interval_s: float = Field(300.0, gt=0)
    """Seconds between two prints of the dataset's figures while downloading."""

    # --- Network --------------------------------------------------------------------------------
    quality: str = "auto"
    """Rendition: auto (the smallest that covers img_size), best, worst, or a name such as 360p."""
    frame_interval_s: float = Field(0.0, ge=0)
    """Seconds of a stream between two of its frames; 0: one of each segment, of a file as many as wanted, spread."""
    timeout_s: float = Field(10.0, gt=0)
    """Seconds to wait for a server to connect, or between two bytes."""
    deadline_s: float = Field(30.0, gt=0)
    """Seconds one answer may take in all, however steadily it trickles."""
    helix_budget_s: float = Field(120.0, gt=0)
    """Seconds one Helix request may spend on retries and rate limits before Helix counts as unavailable."""
    helix_pause_s: float = Field(30.0, gt=0)
    """Seconds the download waits while Helix is unavailable before it asks again."""
    ad_wait_s: float = Field(75.0, ge=0)
    """Seconds recognition waits for a pre-roll ad to end; a download takes another stream instead."""
    twitch_standin: str = ""
    """Loopback address of a stand-in for Twitch, such as http://127.0.0.1:8080. Tests and the demo use it."""

    # --- Recognition ----------------------------------------------------------------------------
    webhook_secret: SecretStr = SecretStr("")
    """Secret that signs what --webhook posts, by HMAC-SHA256. Empty: it is not signed."""
    metrics_host: str = "127.0.0.1"
    """Address of this machine at which --metrics listens; 0.0.0.0: all of them."""

    # --- Model ----------------------------------------------------------------------------------
    model_path: Path = Path("model")
    """Folder of model.h5, model.onnx, classes.txt and the results."""
    architecture: Literal["cnn", "mobilenet_v2", "efficientnet_v2_b0"] = "mobilenet_v2"
    """Network: cnn (the original's four convolutions), or one of keras.applications."""
    initial_weights: str = "shipped"
    """Starting weights: shipped (mobilenet_v2 has some, the others none), a file, imagenet (downloaded), none."""
    fine_tune: str = "none"
    """What trains after the head, from starting weights: upper (blocks), all, the layer to begin with, or none."""
    epochs: int = Field(10, ge=1)
    """Passes over the training set at most; of the head alone where there are starting weights."""
    fine_tune_epochs: int = Field(10, ge=1)
    """Passes at most of the head with the layers of fine_tune."""
    patience: int = Field(4, ge=1)
    """Epochs without a better validation loss before training stops; the best epoch is kept."""
    time_limit_min: float = Field(0.0, ge=0)
    """Minutes of training in which the last epoch must end; 0: no limit. refit repeats the epochs besides."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's step size."""
    fine_tune_learning_rate: float = Field(1e-4, gt=0)
    """Adam's step size while the layers of fine_tune train."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the step size goes over the epochs: down to 0 along a cosine, or not at all."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the steps over which a cosine's step size first rises."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Share of the last hidden layer's units dropped while training."""
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    """Share of each label that is spread over all games."""
    weight_decay: float = Field(1e-3, ge=0)
    """Share of the weights, times the step size, taken away in each step, as AdamW does."""
    balance: Literal["streamers", "games", "none"] = "streamers"
    """What every epoch draws evenly from: games and within each its streamers, games alone, or frames as they are."""
    class_weights: bool = False
    """Weigh each game's frames in the loss by how few they are."""
    validation_split: float = Field(0.2, gt=0, lt=1)
    """Share of each game's streamers kept for validation, one at least."""
    validation_streamers: Annotated[tuple[str, ...], NoDecode] = ()
    """Logins to validate with, by commas or as JSON, instead of a share drawn by seed: so that trainings compare."""
    batch_size: int = Field(0, ge=0)
    """Images in a training step, of all devices together; 0: 16 on a CPU, on a GPU what its memory holds, up to 128."""
    prefetch_buffer: int = Field(2, ge=1)
    """Batches prepared ahead of the training step."""
    cache_memory_gb: float = Field(2.0, ge=0)
    """Frames are kept decoded in memory if they all take this many GB at most: 12,000 of 240 pixels take 2."""
    cache_disk_gb: float = Field(20.0, ge=0)
    """Otherwise in a file in model_path if they take so many, and half of the free disk, at most; else decoded anew."""
    augment: bool = True
    """Change pictures while training as other streams might look; where the whole network trains, each epoch anew."""
    augment_views: int = Field(3, ge=1)
    """Where the head alone trains: so many changed versions of each picture, made once, instead of one an epoch."""
    augment_screens: bool = True
    """There it also learns from made-up screens that show no game (desktops, cameras, noise) to be sure of nothing."""
    augment_scene: float = Field(0.67, ge=0, le=1)
    """Share whose middle is replaced: what lies around it, as a game's display does, has to tell the game too."""
    augment_crop: float = Field(0.5, ge=0, le=1)
    """Share of them that are cropped, by a fifth of the sides at most, and enlarged."""
    augment_color: float = Field(0.5, ge=0, le=1)
    """Share with other brightness, contrast and colours."""
    augment_webcam: float = Field(0.3, ge=0, le=1)
    """Share with a camera in a corner or at an edge."""
    augment_chat: float = Field(0.2, ge=0, le=1)
    """Share with a column of chat."""
    augment_alert: float = Field(0.2, ge=0, le=1)
    """Share with an alert's box."""
    augment_banner: float = Field(0.15, ge=0, le=1)
    """Share with a banner along the top or bottom."""
    augment_blur: float = Field(0.2, ge=0, le=1)
    """Share that are blurred, as by a rendition of a third to nine tenths of the size."""
    augment_jpeg: float = Field(0.3, ge=0, le=1)
    """Share that are compressed anew, with a JPEG quality of 15 to 70."""
    refit: bool = False
    """In the end train anew on all frames, with those of validation, for as many epochs as were best on the split."""
    unknown_share: float = Field(0.1, ge=0, lt=1)
    """Share of the validation frames, as they are and with overlays, that count as unknown. 0: nothing ever does."""
    unknown_score: Literal["likeness", "energy", "max_logit", "max_probability"] = "max_logit"
    """What tells known frames from unknown ones: the network's features (likeness), or its outputs alone."""
    int8: bool = False
    """Recognise with the 8-bit model that python -m model.export makes, where it is: faster, nearly as good."""
    visualize_results: bool = True
    """Draw the curves and the confusion matrix after training."""
    tensorboard_path: str = ""
    """Folder for TensorBoard's logs; empty: none are written."""
    mixed_precision: bool = True
    """Compute in float16 where there is a CUDA GPU; without one it changes nothing."""
    xla: bool = True
    """Compile the training step with XLA where there is one GPU."""
    all_gpus: bool = True
    """Train on all GPUs of the machine, not on the first one alone. Several machines: set TF_CONFIG on each."""
    seed: int = 123
    """Seed of every random choice: split, shuffling, weights, dropout, and the download's choice of streams."""

    @field_validator("languages", "validation_streamers", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Codes and logins in small letters, from text with commas or a JSON list."""
        if isinstance(value, str):
            value = json.loads(value) if value.startswith("[") else value.split(",") if value else ()
        return tuple(code.strip().lower() if isinstance(code, str) else code for code in value)

    @field_validator("languages")
    @classmethod
    def _language_codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what Helix would: anything but two letters or `other`, and more than a hundred of them."""
        wrong = [code for code in value if not _LANGUAGE.fullmatch(code)]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))}: not ISO 639-1, such as en, or other")
        if len(value) > 100:
            raise ValueError("Twitch takes a hundred at most")
        return value

    @field_validator("twitch_standin")
    @classmethod
    def _loopback_only(cls, value: str) -> str:
        """Refuse a stand-in anywhere but on this machine: credentials would travel to it."""
        if not value:
            return ""
        from data.http.session import loopback_url  # loads requests, which not every command needs

        return loopback_url(value)


def load() -> Settings:
    """Read the settings from this file, `.env` and the environment.

    Raises SettingsError: it names every setting that is wrong, and why.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()]
        raise SettingsError("; ".join(lines)) from error
    except SourceError as error:
        raise SettingsError(str(error)) from error
