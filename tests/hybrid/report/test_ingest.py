"""The picture and the page of a clip."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from hybrid.errors import BadInputError
from hybrid.report.ingest import colour, draw_figure, grey, write_ingest


def test_the_picture_and_the_page_are_written_whole_and_need_no_network(demo_clips, tmp_path):
    found, png, page = write_ingest(demo_clips[0], tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure.png", "ingest.html"]
    picture = imread(io.BytesIO(png.read_bytes()))
    assert picture.shape[0] > 500
    assert picture.std() > 0.05
    text = page.read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert f"{100 * found.accumulated.motion_zero:.1f} %" in text
    assert f"{100 * found.intra_share:.1f} % of the P-frames' area" in text


def test_a_file_in_place_of_the_folder_is_refused(demo_clips, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadInputError, match="it is a file"):
        write_ingest(demo_clips[0], tmp_path / "taken")


def test_the_same_clip_gives_the_same_picture(demo_clips):
    assert draw_figure(demo_clips[0]) == draw_figure(demo_clips[0])


def test_stillness_is_white_opposite_directions_have_opposite_hues_and_zero_is_grey():
    still, right, left = (colour(np.array([[[x, 0]]]), 10.0)[0, 0] for x in (0, 10, -10))
    assert np.allclose(still, 1)
    assert np.allclose(right, [1, 0, 0])
    assert np.allclose(left, [0, 1, 1])
    assert grey(np.array([[[0, -300, 300]]])).tolist() == [[[128, 0, 255]]]


def test_a_video_of_iframes_only_is_refused(tmp_path, clip_frames, encode):
    path = encode(tmp_path / "i.avi", clip_frames[:3], "mpeg4", gop_size=1, max_b_frames=0)
    with pytest.raises(BadInputError, match="no P-frame"):
        draw_figure(path)
