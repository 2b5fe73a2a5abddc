"""The pictures of Fig. 1, Fig. 5 and of a confusion matrix show what they claim."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from hybrid.errors import BadInputError
from hybrid.model import HybridModel, load_config
from hybrid.report.confusion import draw_confusion
from hybrid.report.features import draw_features, draw_tsne, write_figures
from hybrid.training.evaluate import Evaluation


def picture(data):
    return imread(io.BytesIO(data), format="png")[..., :3]


def test_the_pictures_are_written_and_the_same_each_time(tmp_path, tiny, demo_clips):
    written = write_figures(tiny, demo_clips, tmp_path / "figures")
    assert [path.name for path in written] == ["tsne.png", "features.png"]
    assert written[0].read_bytes() == draw_tsne(demo_clips)
    assert len(np.unique(picture(written[1].read_bytes()).reshape(-1, 3), axis=0)) > 1000
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="it is a file"):
        write_figures(tiny, demo_clips, tmp_path / "file")


def test_feature_maps_are_of_the_parts_that_a_variant_has_and_leave_no_hook(demo_clips):
    widths = {}
    for kind in ("learned", "none"):
        model = HybridModel(load_config("tiny", (f"stm.kind={kind}",))).eval()
        widths[kind] = picture(draw_features(model, demo_clips[0])).shape[1]
        assert not any(module._forward_hooks for module in model.modules())
    modality = HybridModel(load_config("tiny", ('modalities=["motion"]',))).eval()
    assert picture(draw_features(modality, demo_clips[0])).shape[1] < widths["learned"] == widths["none"]


def test_the_confusion_matrix_shades_every_row_by_its_share(tmp_path):
    result = Evaluation("torch", ("A", "B"), 0.75, 1.0, ((9, 1), (4, 6)), ("A",) * 20)
    draw_confusion(result, tmp_path / "new" / "m.png")
    shades = picture((tmp_path / "new" / "m.png").read_bytes())
    blue = (shades[..., 2] - shades[..., 0]).max()
    assert shades.shape[0] > 200
    assert blue > 0.3
    rows = result.per_class()
    assert [(row.label, row.clips, row.recall) for row in rows] == [("A", 10, 0.9), ("B", 10, 0.6)]
    assert rows[0].precision == pytest.approx(9 / 13)
