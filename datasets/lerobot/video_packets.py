"""Pieces of videos without decoding them: packets are copied from mp4 files into others."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
from av.container import InputContainer

from ideomotor.control.errors import UserError
from ideomotor.datasets.lerobot.video import BIT_EXACT, exact_rate, open_container


def join(parts: Sequence[tuple[bytes, int]], fps: float) -> bytes:
    """Returns one mp4 of the first n frames of each (file, n), by copying packets.

    Raises:
        UserError: a part is not readable, is shorter than n, or was encoded with other parameters.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options=BIT_EXACT) as target:
        stream, codec, written = None, None, 0
        for data, count in parts:
            with open_container(io.BytesIO(data), "video to join") as source:
                origin = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(origin)
                    codec = origin.codec_context.extradata
                if origin.codec_context.extradata != codec:
                    raise UserError("video to join: encoded with other parameters than the file it goes into")
                step = _ticks(origin, fps)
                for packet in _first_packets(source, count):
                    packet.stream = stream
                    packet.pts = packet.dts = written * step
                    target.mux(packet)
                    written += 1
    return buffer.getvalue()


def cut(path: Path, first: int, count: int, fps: float) -> bytes | None:
    """Returns an mp4 of `count` frames from number `first` on, by copying packets.

    None where that cannot be: `first` is no key frame, frames are not one 1/fps after the other, or they are
    stored in another order than they are shown (B-frames).

    Raises:
        UserError: the file is not readable as a video.
    """
    buffer, given = io.BytesIO(), 0
    with (
        open_container(str(path), str(path)) as source,
        av.open(buffer, "w", format="mp4", options=BIT_EXACT) as target,
    ):
        origin = source.streams.video[0]
        tick = 1 / (exact_rate(fps) * (origin.time_base or 1 / exact_rate(fps)))
        stream = target.add_stream_from_template(origin)
        if tick.denominator != 1:
            return None
        source.seek(first * tick.numerator, stream=origin)
        for packet in source.demux(origin):
            if packet.pts is None or packet.pts < first * tick.numerator:
                continue
            if packet.pts != (first + given) * tick.numerator or (not given and not packet.is_keyframe):
                return None
            packet.stream = stream
            packet.pts = packet.dts = given * tick.numerator
            target.mux(packet)
            given += 1
            if given == count:
                break
    return buffer.getvalue() if given == count else None


def header(data: bytes) -> bytes | None:
    """Returns the codec parameters of an mp4 file: files whose headers are equal can be joined."""
    with open_container(io.BytesIO(data), "video") as container:
        return container.streams.video[0].codec_context.extradata


def _first_packets(container: InputContainer, count: int) -> Iterator[av.Packet[av.VideoStream]]:
    given = 0
    for packet in container.demux(video=0):
        if given == count:
            return
        if packet.pts is None:  # the flush packet at the end
            continue
        given += 1
        yield packet
    if given < count:
        raise UserError(f"video to join: {given} frames, expected {count}")


def _ticks(stream: av.VideoStream, fps: float) -> int:
    ticks = 1 / (exact_rate(fps) * (stream.time_base or 1 / exact_rate(fps)))
    if ticks.denominator != 1:
        raise UserError(f"video to join: time base {stream.time_base} does not divide 1/{fps} s")
    return ticks.numerator
