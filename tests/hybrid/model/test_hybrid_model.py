"""The whole model: shapes, both streams, and averages over all places."""

from __future__ import annotations

import torch

from hybrid.model.inputs import to_tensors


def test_every_stream_changes_the_answer(tiny, clip_views):
    iframe, motion, residual = to_tensors(clip_views, tiny.config.input)
    with torch.no_grad():
        whole = tiny(iframe, motion, residual)
        assert whole.shape == (len(iframe), len(tiny.config.classes))
        for changed in (
            tiny(iframe * 0.5, motion, residual),
            tiny(iframe, motion.flip(-1), residual),
            tiny(iframe, motion, residual.flip(-1)),
        ):
            assert not torch.allclose(changed, whole)


def test_a_gop_does_not_depend_on_the_others_in_its_batch(tiny, clip_views):
    values = to_tensors(clip_views, tiny.config.input)
    with torch.no_grad():
        alone = torch.cat([tiny(*(x[i : i + 1] for x in values)) for i in range(len(values[0]))])
        assert torch.allclose(tiny(*values), alone, atol=1e-5)


def test_the_order_of_the_p_frames_matters(tiny, clip_views):
    iframe, motion, residual = to_tensors(clip_views, tiny.config.input)
    with torch.no_grad():
        assert not torch.allclose(tiny(iframe, motion.flip(1), residual.flip(1)), tiny(iframe, motion, residual))
