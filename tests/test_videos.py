# SPDX-License-Identifier: Apache-2.0
"""Videos of every source give their frames exactly, in order and by index; what is damaged is named; memory is bounded.

In: small made-up videos, written here.
"""

import gc
import itertools
import threading
import time
import weakref

import av
import numpy as np
import pytest
from PIL import Image

from sam2_jax.media import video_files, write_picture
from sam2_jax.media.videos import Video, VideoWriter, ahead, open_video

HEIGHT, WIDTH = 48, 64


def moving(length=30, height=HEIGHT, width=WIDTH):
    """A square on a gradient over some noise: no two frames are alike, also after coding."""
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    for index in range(length):
        frame = noise + np.linspace(0, 100, width)[:, None] + 4 * (index % 25)
        left = 2 * index % (width - 12)
        frame[8:20, left : left + 12] = (250, 30, 60)
        yield frame.astype(np.uint8)


def write(path, frames, rate=25, **settings):
    """A video file as other programs write it; settings are the codec's."""
    codec = settings.pop("codec", "libx264")
    pixels = settings.pop("pixels", "yuv420p")
    with av.open(str(path), "w", options=settings.pop("container", {})) as video:
        stream = None
        for frame in frames:
            if stream is None:
                stream = video.add_stream(codec, rate=rate, options=settings)
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], pixels
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        video.mux(stream.encode())
    return path


def decoded(path):
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def cut(path, part):
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    return path


def write_folder(folder, names, frames=None):
    folder.mkdir()
    for name, frame in zip(names, moving(len(names)) if frames is None else frames, strict=True):
        write_picture(folder / name, frame)
    return folder


FILES = {
    "closed groups": ("a.mp4", {"g": "8", "keyint_min": "8", "sc_threshold": "0"}),
    "open groups": ("a.mp4", {"x264-params": "open-gop=1:keyint=8:min-keyint=8:scenecut=0"}),
    "short groups, deep reordering": ("a.mp4", {"x264-params": "keyint=3:min-keyint=3:bframes=3:b-adapt=0:scenecut=0"}),
    "one group": ("a.mov", {"g": "300"}),
    "matroska": ("a.mkv", {"g": "8"}),
    "webm, VP9": ("a.webm", {"codec": "libvpx-vp9", "g": "8", "deadline": "realtime", "cpu-used": "8"}),
    "webm, VP8": ("a.webm", {"codec": "libvpx", "g": "8", "deadline": "realtime", "cpu-used": "8"}),
    "avi": ("a.avi", {"codec": "mpeg4", "g": "8"}),
    "avi without times": ("a.avi", {"g": "8"}),
    "motion JPEG": ("a.mov", {"codec": "mjpeg", "pixels": "yuvj420p"}),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_gives_every_frame_in_order_and_by_index(tmp_path, kind):
    name, settings = FILES[kind]
    path = write(tmp_path / name, moving(), **settings)
    expected = decoded(path)
    video = open_video(path)
    assert (video.height, video.width, video.length) == (HEIGHT, WIDTH, 30)
    assert video.frames_per_second == pytest.approx(25)
    for _ in range(2):
        frames = list(video)
        assert all(frame.dtype == np.uint8 for frame in frames)
        np.testing.assert_array_equal(frames, expected)
    order = [29, 0, 1, 2, 14, 13, 15, 17, 8, 7, 6, 16, 23, 22, *range(30)]
    for index in order:
        np.testing.assert_array_equal(video.frame(index), expected[index], err_msg=f"frame {index}")


def test_a_frame_is_sought_and_not_decoded_from_the_beginning(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", moving(60), g="10", keyint_min="10", sc_threshold="0")
    video = open_video(path)
    packets = []

    def counted(*arguments):
        for packet in whole_packets(*arguments):
            packets.append(packet.pts)
            yield packet

    whole_packets = video_files.whole_packets
    monkeypatch.setattr(video_files, "whole_packets", counted)
    video.frame(45)
    assert len(packets) <= 20
    packets.clear()
    video.frame(46)
    assert len(packets) <= 1


def test_a_file_stands_as_its_display_matrix_says(tmp_path):
    path = write(tmp_path / "a.mp4", moving(3))
    plain = decoded(path)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    for turns, (a, b, c, d) in {1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}.items():
        values = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
        data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
        path.write_bytes(data)
        video = open_video(path)
        assert (video.height, video.width) == ((WIDTH, HEIGHT) if turns % 2 else (HEIGHT, WIDTH))
        np.testing.assert_array_equal(list(video), [np.rot90(frame, turns) for frame in plain])
        np.testing.assert_array_equal(video.frame(1), np.rot90(plain[1], turns))


# Folders, arrays, iterables


def test_a_folder_is_sorted_by_number_and_other_files_are_left_alone(tmp_path):
    frames = list(moving(12))
    names = [f"{index}.png" for index in range(12)]
    folder = write_folder(tmp_path / "frames", names, frames)
    (folder / "notes.txt").write_text("not a frame")
    (folder / "._3.png").write_text("not a frame either")
    video = open_video(folder)
    assert (video.height, video.width, video.length, video.frames_per_second) == (HEIGHT, WIDTH, 12, None)
    np.testing.assert_array_equal(list(video), frames)
    np.testing.assert_array_equal(list(video), frames)
    np.testing.assert_array_equal(video.frame(10), frames[10])


def test_names_that_are_not_numbers_are_sorted_as_people_do(tmp_path):
    frames = list(moving(3))
    video = open_video(write_folder(tmp_path / "frames", ["shot_2.png", "shot_10.png", "shot_11a.png"], frames))
    np.testing.assert_array_equal(list(video), frames)


def test_a_missing_frame_is_named_and_even_steps_are_not_missing(tmp_path):
    with pytest.raises(ValueError, match=r"Frame 00003 is missing from .*gap"):
        open_video(write_folder(tmp_path / "gap", [f"{index:05d}.jpg" for index in (0, 1, 2, 4, 5)]))
    assert open_video(write_folder(tmp_path / "fifths", [f"{index:05d}.jpg" for index in (0, 5, 10)])).length == 3
    with pytest.raises(ValueError, match="Frame 00010 is missing"):
        open_video(write_folder(tmp_path / "gap5", [f"{index:05d}.jpg" for index in (0, 5, 15, 20)]))
    with pytest.raises(ValueError, match="more than one picture of frame 00001"):
        open_video(write_folder(tmp_path / "twice", ["00000.jpg", "00001.jpg", "00001.png"]))


def test_the_first_file_of_another_size_is_named(tmp_path):
    frames = list(moving(4))
    frames[2] = frames[2][:40]
    folder = write_folder(tmp_path / "frames", [f"{index:05d}.jpg" for index in range(4)], frames)
    with pytest.raises(ValueError, match=r"00002\.jpg has 64 x 40 pixels, but the first frame 64 x 48"):
        open_video(folder)


def test_a_damaged_picture_of_a_folder_is_named_after_the_frames_before_it(tmp_path):
    folder = write_folder(tmp_path / "frames", [f"{index:05d}.png" for index in range(4)])
    cut(folder / "00002.png", 0.5)
    video = open_video(folder)
    frames = iter(video)
    assert len([next(frames), next(frames)]) == 2
    with pytest.raises(ValueError, match=r"00002\.png cannot be read"):
        next(frames)


def test_an_array_is_a_video():
    frames = np.stack(list(moving(5)))
    video = open_video(frames)
    assert (video.length, video.height, video.width) == (5, HEIGHT, WIDTH)
    np.testing.assert_array_equal(list(video), frames)
    np.testing.assert_array_equal(video.frame(4), frames[4])
    grey = open_video(frames[..., 0])
    np.testing.assert_array_equal(grey.frame(2), np.repeat(frames[2, ..., :1], 3, axis=-1))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (np.zeros((2, 4, 5, 3), np.float32), r"shape \(2, 4, 5, 3\) and type float32 came, but a video is uint8"),
        (np.zeros((2, 3, 4, 5), np.uint8), r"shape \(2, 3, 4, 5\)"),
        (np.zeros((48, 64, 3), np.uint8), r"shape \(48, 64, 3\)"),
        (np.zeros((0, 4, 5, 3), np.uint8), "empty array"),
        ([], "at least one frame"),
        (iter(()), "at least one frame"),
        (7, "int came"),
        (b"frames", "bytes came"),
        ([np.zeros((4, 5, 3))], r"Frame 0 of the sequence: .*float64"),
    ],
)
def test_what_is_no_video_is_named(source, sentence):
    with pytest.raises(ValueError, match=sentence):
        open_video(source)


def test_a_list_holds_pictures_of_every_kind(tmp_path):
    frames = list(moving(3))
    write_picture(tmp_path / "second.png", frames[1])
    video = open_video([frames[0], tmp_path / "second.png", Image.fromarray(frames[2])])
    assert video.length == 3
    np.testing.assert_array_equal(list(video), frames)
    np.testing.assert_array_equal(video.frame(1), frames[1])
    assert open_video(video) is video


def test_an_iterator_is_read_once_and_an_iterable_again():
    frames = list(moving(5))
    video = open_video(iter(frames))
    assert (video.length, video.height, video.width) == (None, HEIGHT, WIDTH)
    np.testing.assert_array_equal(list(video), frames)
    with pytest.raises(ValueError, match="came from an iterator, which has been used"):
        iter(video)
    with pytest.raises(ValueError, match="in order only"):
        video.frame(0)

    class Camera:
        def __iter__(self):
            return iter(frames)

    video = open_video(Camera())
    assert video.length is None
    for _ in range(2):
        np.testing.assert_array_equal(list(video), frames)


def test_a_frame_of_another_size_is_named():
    frames = list(moving(3))
    frames[2] = frames[2][:, :60]
    for source in (frames, iter(frames)):
        with pytest.raises(ValueError, match=r"Frame 2.* has 60 x 48 pixels, but the first frame 64 x 48"):
            list(open_video(source))


def test_an_index_out_of_range_is_named_with_the_length(tmp_path):
    videos = [
        open_video(np.stack(list(moving(3)))),
        open_video(write_folder(tmp_path / "frames", ["0.png", "1.png", "2.png"])),
        open_video(write(tmp_path / "a.mp4", moving(3))),
    ]
    for video, index in itertools.product(videos, (-1, 3, 10**9)):
        with pytest.raises(ValueError, match=f"no frame {index}: it has 3, from 0 to 2"):
            video.frame(index)


# Damage


@pytest.mark.parametrize("part", [0.77, 0.85, 0.97, "between two frames"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_truncated_file_gives_what_is_whole_and_then_says_so(tmp_path, name, part):
    codec = "mpeg4" if name == "a.avi" else "libx264"
    container = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = write(tmp_path / name, moving(), codec=codec, g="8", container=container)
    expected = decoded(path)
    if part == "between two frames":  # where no frame is torn
        with av.open(str(path)) as file:
            packet = next(itertools.islice(file.demux(video=0), 20, None))
            part = (packet.pos + packet.size + 0.5) / path.stat().st_size
    video = open_video(cut(path, part))
    frames = []
    with pytest.raises(ValueError, match=rf"{name} is damaged after frame {video.length - 1}\b"):  # noqa: PT012
        for frame in video:
            frames.append(frame)
    assert len(frames) == video.length
    np.testing.assert_array_equal(frames, expected[: len(frames)])
    np.testing.assert_array_equal(video.frame(video.length - 1), frames[-1])


def test_damage_in_the_middle_is_named(tmp_path):
    path = write(tmp_path / "a.mp4", moving(), g="4", keyint_min="4", container={"movflags": "faststart"})
    expected = decoded(path)
    with av.open(str(path)) as file:
        packet = next(itertools.islice(file.demux(video=0), 16, None))
    data = bytearray(path.read_bytes())
    data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    frames = []
    with pytest.raises(ValueError, match=r"a\.mp4 is damaged after frame \d+"):  # noqa: PT012
        for frame in open_video(path):
            frames.append(frame)
    assert 8 <= len(frames) <= 16
    np.testing.assert_array_equal(frames, expected[: len(frames)])


def test_a_file_that_is_no_video_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.mp4"):
        open_video(tmp_path / "absent.mp4")
    for name in ("notes.mp4", "notes.txt"):  # FFmpeg would show a .txt as moving pictures
        (tmp_path / name).write_text("not a video\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_picture(tmp_path / "picture.jpg", next(moving()))
    cut(write(tmp_path / "headless.mp4", moving()), 0.6)  # its index stood at its end
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
        file.mux(stream.encode())
    for name in ("notes.mp4", "notes.txt", "empty.mp4", "picture.jpg", "headless.mp4", "sound.mp4"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a video"):
            open_video(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder holds no JPEG or PNG"):
        open_video(tmp_path / "folder")


# Reading ahead, and memory


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "frames ahead"]


def test_ahead_gives_the_same_frames_and_its_thread_ends(tmp_path):
    video = open_video(write(tmp_path / "a.mp4", moving()))
    np.testing.assert_array_equal(list(ahead(video, count=3)), list(video))
    assert list(ahead([])) == []
    assert not threads()
    with pytest.raises(ValueError, match="at least 1, but 0"):
        ahead(video, count=0)


def test_ahead_raises_where_the_frames_do():
    def failing():
        yield from range(3)
        raise OSError("the disk is gone")

    frames = ahead(failing())
    assert [next(frames), next(frames), next(frames)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(frames)
    assert not threads()


def test_ahead_is_only_so_far_ahead_and_stops_when_abandoned():
    made, closed = [], threading.Event()

    def endless():
        try:
            for index in itertools.count():
                made.append(index)
                yield index
        finally:
            closed.set()

    for leave in (lambda frames: frames.close(), lambda frames: None):
        made.clear()
        closed.clear()
        frames = ahead(endless(), count=4)
        assert not threads()
        assert next(frames) == 0
        time.sleep(0.05)
        assert len(made) <= 6
        leave(frames)
        del frames
        gc.collect()
        assert closed.wait(1)
        assert not threads()


@pytest.mark.parametrize("read", [iter, lambda video: ahead(video, count=4)])
def test_a_long_video_is_never_in_memory_at_once(tmp_path, read):
    path = tmp_path / "long.mp4"
    with VideoWriter(path, 25, HEIGHT, WIDTH) as writer:
        for frame in moving(300):
            writer.write(frame)
    alive, most, count = weakref.WeakSet(), 0, 0

    class Counted(np.ndarray):
        __hash__ = object.__hash__

    video = open_video(path)

    def frames():
        for frame in video:
            counted = frame.view(Counted)
            alive.add(counted)
            yield counted

    for frame in read(frames()):
        count += frame.shape[0] == HEIGHT
        most = max(most, len(alive))
    assert count == 300
    assert most <= 8


# Writing


@pytest.mark.parametrize("rate", [25, 30000 / 1001, 7.5])
def test_what_was_written_is_read_again(tmp_path, rate):
    frames = list(moving())
    with VideoWriter(tmp_path / "a.mp4", rate, HEIGHT, WIDTH) as writer:
        for frame in frames:
            writer.write(frame)
    video = open_video(tmp_path / "a.mp4")
    assert isinstance(video, Video)
    assert (video.length, video.height, video.width) == (30, HEIGHT, WIDTH)
    assert video.frames_per_second == pytest.approx(rate, rel=1e-4)
    for before, after in zip(frames, video, strict=True):
        assert np.abs(before.astype(int) - after).mean() < 10
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]


def test_colours_stay_what_they_are(tmp_path):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (90, 140, 200)]
    with VideoWriter(tmp_path / "a.mp4", 5, HEIGHT, WIDTH) as writer:
        for color in colors:
            writer.write(np.full((HEIGHT, WIDTH, 3), color, np.uint8))
    for color, frame in zip(colors, open_video(tmp_path / "a.mp4"), strict=True):
        np.testing.assert_allclose(frame.reshape(-1, 3).mean(axis=0), color, atol=5)


def test_an_odd_side_grows_by_the_last_pixel(tmp_path):
    frame = np.zeros((47, 63, 3), np.uint8)
    frame[:, 61:] = 200
    with VideoWriter(tmp_path / "a.mp4", 5, 47, 63) as writer:
        writer.write(frame)
    read = open_video(tmp_path / "a.mp4").frame(0)
    assert read.shape == (48, 64, 3)
    np.testing.assert_allclose(read[:, 62:].astype(int), 200, atol=25)


def test_a_failed_write_leaves_no_file(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"what was there")
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(path, 5, HEIGHT, WIDTH) as writer:  # noqa: PT012
        writer.write(next(moving()))
        raise RuntimeError("stop")
    with pytest.raises(ValueError, match="no frame came"), VideoWriter(path, 5, HEIGHT, WIDTH):
        pass
    with (
        pytest.raises(ValueError, match=r"Frame 0 for .*a\.mp4 must be uint8 of shape \(48, 64, 3\), but float64"),
        VideoWriter(path, 5, HEIGHT, WIDTH) as writer,
    ):
        writer.write(np.zeros((HEIGHT, WIDTH, 3)))
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_names_what_it_cannot_write(tmp_path):
    with pytest.raises(ValueError, match=r"a\.avi must end in \.mp4"):
        VideoWriter(tmp_path / "a.avi", 5, HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="above 0, but 0, 48 and 64 came"):
        VideoWriter(tmp_path / "a.mp4", 0, HEIGHT, WIDTH)
    with (
        pytest.raises(FileNotFoundError, match="absent does not exist"),
        VideoWriter(tmp_path / "absent" / "a.mp4", 5, 4, 4),
    ):
        pass
