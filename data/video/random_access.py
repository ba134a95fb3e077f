"""Random access: frames of a recording in one file, at any times.

the file can seek                          → seek to each time; timestamps are the times, as in a player
it cannot, or finds other frames there     → read it from its start for each call; times count from its start
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import av

from data.errors import UndecodableVideo
from data.video.container import open_recording, read_packets
from data.video.groups import CHAINED_CODECS, frame_step_s
from data.video.images import encode_jpeg
from data.video.picture import resize_frame
from data.video.recording import READ_ALL_BYTES, measure_length, read_at
from data.video.sampling import FrameRequest, RecordedFrame
from data.video.seeking import ShownFrame, last_timestamp, packet_time, seek_frame

_PROBES = 8  # places where a file is tried
_MAX_EXCESS = 1.1  # of the length that is counted over that by timestamps
_MAX_STILL = 30  # times the length that is counted: a slide that is shown for a minute counts as two seconds
_MAX_FAILED_PROBES = 1  # a damaged place; more of them: its timestamps or its index are wrong


class FileRecording:
    """A recording in one file that is open, readable and seekable; in a format of `data.video.container`.

    duration_s: time of its end. What is written to a growing file later does not count.
    decoded_frames: how many frames were decoded so far, as far as they are counted: by seeks.

    Raises UndecodableVideo, and the errors of `file.read`.
    """

    def __init__(self, file: IO[bytes], img_size: int, jpeg_quality: int, stopped: Callable[[], bool]) -> None:
        self.decoded_frames = 0
        self._file, self._stopped = file, stopped
        self._img_size, self._jpeg_quality = img_size, jpeg_quality
        self._start_s = 0.0
        self.duration_s = self._measured()
        self._can_seek = self.duration_s > 0 and self._finds_probes()
        is_small = file.seek(0, io.SEEK_END) <= READ_ALL_BYTES
        if is_small or not self._can_seek:
            counted_s = measure_length(file, stopped)[0]
            # Of joined files, whose timestamps begin again, seeks find a part only. Damage makes years of seconds.
            is_likely = counted_s / _MAX_EXCESS - 1 < self.duration_s < counted_s * _MAX_STILL
            self._can_seek = self._can_seek and is_likely
            self.duration_s = self.duration_s if self._can_seek else counted_s
        if self.duration_s <= 0:
            raise UndecodableVideo("no picture of the video can be decoded")

    def frames(self, requests: Sequence[FrameRequest]) -> Iterator[tuple[FrameRequest, RecordedFrame]]:
        """Yield the frames of requests in ascending order; none for a request whose place cannot be decoded."""
        if self._can_seek:
            yield from self._by_seeks(requests)
            return
        by_time = {request.time_s: request for request in requests}
        for time_s, at_s, jpeg in read_at(self._file, sorted(by_time), self._encode, self._stopped):
            yield by_time[time_s], RecordedFrame(at_s, jpeg)

    def _by_seeks(self, requests: Sequence[FrameRequest]) -> Iterator[tuple[FrameRequest, RecordedFrame]]:
        with open_recording(self._file, self._stopped) as (container, stream):
            for request in requests:
                if found := self._seek(container, stream, request):
                    yield request, RecordedFrame(max(0.0, found.at_s - self._start_s), self._encode(found.frame))

    def _seek(
        self, container: av.container.InputContainer, stream: av.VideoStream, request: FrameRequest
    ) -> ShownFrame | None:
        time_s = self._start_s + max(0.0, min(request.time_s, self.duration_s))
        found = seek_frame(container, stream, time_s, self._start_s + request.after_s)
        self.decoded_frames += found.decoded if found else 0
        return found

    def _measured(self) -> float:
        """Return the length by the first and the last timestamp, in seconds; 0 if it is not known."""
        with open_recording(self._file, self._stopped) as (container, stream):
            first = next((packet for packet in read_packets(container, stream) if packet.is_keyframe), None)
            start_s = packet_time(first, stream) if first else None
            if start_s is None or stream.codec_context.name in CHAINED_CODECS:
                return 0.0
            self._start_s = start_s
            return max(0.0, last_timestamp(container, stream) - start_s + frame_step_s(stream))

    def _finds_probes(self) -> bool:
        """Return whether seeks find frames all over the recording."""
        probes = [FrameRequest(self.duration_s * (index + 0.5) / _PROBES) for index in range(_PROBES)]
        return sum(1 for _ in self._by_seeks(probes)) >= _PROBES - _MAX_FAILED_PROBES

    def _encode(self, frame: av.VideoFrame) -> bytes:
        return encode_jpeg(resize_frame(frame, self._img_size), self._jpeg_quality)
