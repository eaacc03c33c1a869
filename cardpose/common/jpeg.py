"""Whether a JPEG is whole; OpenCV silently fills what is missing with grey."""

import av


def is_whole_jpeg(data: bytes) -> bool:
    """Whether the end marker exists and no block between is missing or damaged, as far as a decoder notices."""
    if not _has_end(data):
        return False
    # An eighth of the size is quicker and reads the same blocks, but FFmpeg does not have it for every JPEG.
    quick = _decodes(data, err_detect="explode", lowres="3")
    return quick or _decodes(data, err_detect="explode") or not _decodes(data, err_detect="0")


def _has_end(data: bytes) -> bool:
    """Whether an end marker follows the first scan.

    Markers and their lengths: ITU-T T.81, annex B. The segments before the first scan are skipped by their lengths,
    since an EXIF thumbnail has an end marker of its own.
    """
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return False
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker == 0xDA:  # start of the first scan
            return data.find(b"\xff\xd9", place) >= 0
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return False


def _decodes(data: bytes, **options: str) -> bool:
    """Whether FFmpeg decodes a JPEG with options of its decoder; err_detect="explode" refuses damaged blocks.

    libjpeg only warns of those, and OpenCV and Pillow do not pass its warnings on.
    """
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = options
    decoder.thread_count = 1
    try:
        return bool(decoder.decode(av.Packet(data)))
    except av.FFmpegError:
        return False
