"""Every layout on a small real tree in exactly the published form, and every way it can be off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hybrid.datasets import folder, hmdb51, kinetics, something_something, ucf101
from hybrid.errors import BadInputError


@pytest.fixture
def put(tmp_path, demo_clips):
    """Place a real clip, or a text, somewhere below the test's folder."""

    def place(name, text=None):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            shutil.copyfile(demo_clips[0], path)
        else:
            path.write_text(text, encoding="utf-8")
        return path

    return place


@pytest.fixture
def ucf(put, tmp_path):
    for name in (
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01",
        "YoYo/v_YoYo_g08_c02",
    ):
        put(f"UCF-101/{name}.avi")
    put("lists/classInd.txt", "1 ApplyEyeMakeup\r\n2 YoYo\r\n")
    put("lists/trainlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nYoYo/v_YoYo_g08_c02.avi 2\r\n")
    put("lists/testlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\n")
    return tmp_path / "UCF-101", tmp_path / "lists"


def test_ucf101_is_read_in_the_official_order_with_its_groups(ucf):
    found = ucf101(*ucf, check=True)
    assert found.classes == ("ApplyEyeMakeup", "YoYo")
    assert [(c.label, c.group, c.split) for c in found.clips] == [
        ("ApplyEyeMakeup", "ApplyEyeMakeup_08", "train"), ("YoYo", "YoYo_08", "train"),
        ("ApplyEyeMakeup", "ApplyEyeMakeup_01", "test"),
    ]  # fmt: skip
    assert all(clip.path.is_file() for clip in found.clips)
    assert found.summary() == "UCF-101: 2 train, 1 test clips in 2 classes; 0 left out"


@pytest.mark.parametrize(
    ("file", "text", "where", "what"),
    [
        ("trainlist01.txt", "YoYo/v_YoYo_g08_c02.avi 1\n", "trainlist01.txt:1", "not that of YoYo"),
        ("trainlist01.txt", "\nv_YoYo_g08_c02.avi 2\n", "trainlist01.txt:2", "is not `Class/file.avi 1`"),
        ("trainlist01.txt", "YoYo/v_YoYo_g08_c02.avi\n", "trainlist01.txt:1", "is not"),
        ("trainlist01.txt", "\u2028\nYoYo/v_YoYo_g08_c02.avi 1\n", "trainlist01.txt:2", "not that of YoYo"),
        ("trainlist01.txt", "YoYo/ 2\n", "trainlist01.txt:1", "is not `Class/file.avi 1`"),
        ("testlist01.txt", "YoYo/../../x.avi\n", "testlist01.txt:1", "leads out"),
        ("testlist01.txt", "/YoYo/v_YoYo_g08_c02.avi\n", "testlist01.txt:1", "leads out"),
        ("testlist01.txt", f"YoYo/{'x' * 300}.avi\n", "testlist01.txt:1", "can be no file's name"),
        ("testlist01.txt", "YoYo/v_YoYo_g08_c02.avi\n", "testlist01.txt:1", "listed before"),
        ("testlist01.txt", "Dance/v_Dance_g08_c02.avi\n", "testlist01.txt:1", "'Dance' is no class"),
        ("classInd.txt", "1 ApplyEyeMakeup\n3 YoYo\n", "classInd.txt:2", "is not `2 ClassName`"),
        ("classInd.txt", "1 ApplyEyeMakeup\n2 YoYo\n3 YoYo\n", "UCF-101", "'YoYo' is listed twice"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_number(ucf, put, file, text, where, what):
    put(f"lists/{file}", text)
    with pytest.raises(BadInputError) as error:
        ucf101(*ucf)
    assert error.value.where.endswith(where)
    assert what in error.value.what


def test_a_missing_annotation_file_or_split_is_named(ucf):
    with pytest.raises(BadInputError) as error:
        ucf101(*ucf, split=2)
    assert error.value.where.endswith("trainlist02.txt")


def test_a_missing_clip_fails_or_is_counted_as_asked(ucf):
    (ucf[0] / "ApplyEyeMakeup" / "v_ApplyEyeMakeup_g01_c01.avi").unlink()
    with pytest.raises(BadInputError, match="no such file"):
        ucf101(*ucf)
    found = ucf101(*ucf, missing="skip")
    assert len(found.clips) == 2
    assert [(path.name, reason) for path, reason in found.skipped] == [
        ("v_ApplyEyeMakeup_g01_c01.avi", "there is no such file")
    ]
    assert found.summary().endswith("1 left out")


def test_a_corrupt_clip_is_found_when_clips_are_opened(ucf):
    clip = ucf[0] / "ApplyEyeMakeup" / "v_ApplyEyeMakeup_g01_c01.avi"
    clip.write_bytes(clip.read_bytes()[:50_000])
    assert len(ucf101(*ucf).clips) == 3
    assert "cannot be read" in ucf101(*ucf, missing="skip", check=True).skipped[0][1]


def test_a_class_that_lost_all_its_clips_is_named(ucf):
    (ucf[0] / "YoYo" / "v_YoYo_g08_c02.avi").unlink()
    with pytest.raises(BadInputError, match="'YoYo' has no clip"):
        ucf101(*ucf, missing="skip")


def test_hmdb51_takes_1_for_training_2_for_testing_and_leaves_0_out(put, tmp_path):
    for label in ("brush_hair", "cartwheel"):
        for i in range(3):
            put(f"hmdb/{label}/clip {i}.avi")
        put(f"splits/{label}_test_split1.txt", "clip 0.avi 1 \nclip 1.avi 2 \nclip 2.avi 0 \n")
    found = hmdb51(tmp_path / "hmdb", tmp_path / "splits")
    assert found.classes == ("brush_hair", "cartwheel")
    assert [(c.label, c.path.name, c.split) for c in found.clips] == [
        (label, f"clip {i}.avi", split) for label in found.classes for i, split in ((0, "train"), (1, "test"))
    ]
    put("splits/cartwheel_test_split1.txt", "clip 0.avi 3\n")
    with pytest.raises(BadInputError) as error:
        hmdb51(tmp_path / "hmdb", tmp_path / "splits")
    assert error.value.where.endswith("cartwheel_test_split1.txt:1")
    with pytest.raises(BadInputError, match=r"no file \*_test_split3"):
        hmdb51(tmp_path / "hmdb", tmp_path / "splits", split=3)


def test_kinetics_finds_clips_by_split_and_label_or_flat(put, tmp_path):
    put("k/train/riding a bike/abc_000010_000020.mp4")
    put("k/val/-d_e_000000_000010.avi")  # as transcoding leaves it
    header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    train = put("train.csv", f"\ufeff{header}riding a bike,abc,10,20,train,0\n")
    validate = put("validate.csv", f'{header}"eating, fast",-d_e,0,10,val,0\n')
    found = kinetics(tmp_path / "k", train, validate)
    assert found.classes == ("eating, fast", "riding a bike")
    assert [(c.label, c.group, c.split, c.path.suffix) for c in found.clips] == [
        ("riding a bike", "abc", "train", ".mp4"), ("eating, fast", "-d_e", "validation", ".avi"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("label,youtube_id\n", "k.csv:1", "no column 'time_start'"),
        ("label,youtube_id,time_start,time_end,split\na,b,0,1\n", "k.csv:2", "empty"),
        ("label,youtube_id,time_start,time_end,split\na,b,x,1,train\n", "k.csv:2", "whole seconds"),
        ("label,youtube_id,time_start,time_end,split\na,b,0,1,holdout\n", "k.csv:2", "'holdout'"),
        ("label,youtube_id,time_start,time_end,split\na,../b,0,1,train\n", "k.csv:2", "leads out"),
        ("label,youtube_id,time_start,time_end,split\na,b,0,1,train,x\n", "k.csv:2", "more fields"),
        ("label,youtube_id,time_start,time_end,split\na,b,0,1,tr\0ain\n", "k.csv:2", "NUL"),
        ('label,youtube_id,time_start,time_end,split\n"a,b,0,1,train\n', "k.csv:2", "not CSV"),
        ("label,youtube_id,time_start,time_end,split,label\n", "k.csv:1", "'label' twice"),
        ("label,youtube_id,time_start,time_end,split\na,b,-5,1,train\n", "k.csv:2", "from -5 to 1"),
        ("label,youtube_id,time_start,time_end,split\na,b,5,5,train\n", "k.csv:2", "from 5 to 5"),
        ("label,youtube_id,time_start,time_end,split\n", "Kinetics", "list no class"),
    ],
)
def test_a_malformed_table_is_named_by_its_line(put, tmp_path, text, where, what):
    with pytest.raises(BadInputError) as error:
        kinetics(tmp_path, put("k.csv", text))
    assert error.value.where.endswith(where)
    assert what in error.value.what


def test_kinetics_finds_validate_rows_in_a_folder_called_val_and_wants_a_table(put, tmp_path):
    put("k/val/a/x_000000_000010.mp4")
    table = put("k.csv", "label,youtube_id,time_start,time_end,split\na,x,0,10,validate\n")
    (clip,) = kinetics(tmp_path / "k", table).clips
    assert (clip.split, clip.path.is_file()) == ("validation", True)
    with pytest.raises(BadInputError, match="no annotation file"):
        kinetics(tmp_path / "k")


def test_something_something_finds_the_label_by_its_template(put, tmp_path):
    labels = {"Holding something": "1", "Dropping something onto something": "0"}
    put("a/something-something-v2-labels.json", json.dumps(labels))
    train = [{"id": "1", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]}]
    other = [{"id": "2", "label": "x", "template": "Dropping [something] onto [something]", "placeholders": []}]
    put("a/something-something-v2-train.json", json.dumps(train))
    put("a/something-something-v2-validation.json", json.dumps(other))
    put("v/1.webm")
    put("v/2.avi")
    found = something_something(tmp_path / "v", tmp_path / "a")
    assert found.classes == ("Dropping something onto something", "Holding something")
    assert [(c.label, c.split, c.path.name) for c in found.clips] == [
        ("Holding something", "train", "1.webm"), ("Dropping something onto something", "validation", "2.avi"),
    ]  # fmt: skip
    for text, what in (("[1]", "no `id`"), ("{}", "no list"), ("[", "not JSON"), ("[" * 100_000, "nested too deeply")):
        put("a/something-something-v2-train.json", text)
        with pytest.raises(BadInputError, match=what):
            something_something(tmp_path / "v", tmp_path / "a")
    for numbers in ({"x": "7"}, {"x": 0}, {"x": "0", "y": 1}, {"x": ["0"], "y": {}}):
        put("a/something-something-v2-labels.json", json.dumps(numbers))
        with pytest.raises(BadInputError, match="numbers from 0 on"):
            something_something(tmp_path / "v", tmp_path / "a")


def test_a_folder_per_class_needs_no_list_and_takes_one(put, tmp_path):
    for name in ("Run/Run_11_31.avi", "Run/Run_1_2.avi", "Sit/Sit_2_6.mp4"):
        put(f"clips/{name}")
    put("clips/Run/notes.txt", "no clip")
    put("clips/Run/._Run_1_2.avi", "a Mac was here")
    put("clips/.git/x.avi", "no class")
    found = folder(tmp_path / "clips")
    assert [(c.label, c.group, c.split) for c in found.clips] == [
        ("Run", "Run_11", "all"), ("Run", "Run_1", "all"), ("Sit", "Sit_2", "all"),
    ]  # fmt: skip
    listing = put("list.csv", "path,label,frames,split\nRun/Run_1_2.avi,Run,57,train\nSit/Sit_2_6.mp4,Sit,66,test\n")
    found = folder(tmp_path / "clips", listing)
    assert [(c.label, c.split) for c in found.clips] == [("Run", "train"), ("Sit", "test")]


def test_a_split_that_nobody_knows_is_named(put, tmp_path):
    put("clips/Run/Run_1_2.avi")
    listing = put("list.csv", "path,label,split\nRun/Run_1_2.avi,Run,trian\n")
    with pytest.raises(BadInputError, match="'trian'"):
        folder(tmp_path / "clips", listing)


def test_an_empty_class_folder_a_missing_root_and_no_folders_are_refused(put, tmp_path):
    put("clips/Run/Run_1_2.avi")
    (tmp_path / "clips" / "Sit").mkdir()
    with pytest.raises(BadInputError, match="'Sit' has no clip"):
        folder(tmp_path / "clips")
    with pytest.raises(BadInputError, match="no such folder"):
        folder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="no sub-folders"):
        folder(tmp_path / "empty")


def test_a_byte_order_mark_is_no_part_of_the_first_line(ucf, put):
    put("lists/classInd.txt", "\ufeff1 ApplyEyeMakeup\n2 YoYo\n")
    assert ucf101(*ucf).classes == ("ApplyEyeMakeup", "YoYo")


def test_only_line_feeds_end_a_line(put, tmp_path):
    put("clips/a.avi")
    listing = put("list.csv", "path,label\na.avi,before\u2028after\n")
    assert folder(tmp_path / "clips", listing).classes == ("before\u2028after",)


def test_hmdb51_refuses_a_clip_listed_twice_even_where_one_line_leaves_it_out(put, tmp_path):
    put("hmdb/turn/a.avi")
    put("splits/turn_test_split1.txt", "a.avi 1\na.avi 0\n")
    with pytest.raises(BadInputError, match=r"a\.avi is listed before") as error:
        hmdb51(tmp_path / "hmdb", tmp_path / "splits")
    assert error.value.where.endswith("turn_test_split1.txt:2")


def test_something_something_names_an_unknown_template_and_a_clip_of_both_parts(put, tmp_path):
    item = {"id": "1", "label": "holding a cup", "template": "Holding [something]"}
    put("a/something-something-v2-labels.json", json.dumps({"Holding something": "0"}))
    put("a/something-something-v2-train.json", json.dumps([item]))
    put("1.webm")
    for other, what in ((item | {"id": "2", "template": "Eating"}, "'Eating' is no class"), (item, "is listed before")):
        put("a/something-something-v2-validation.json", json.dumps([other]))
        with pytest.raises(BadInputError, match=what) as error:
            something_something(tmp_path, tmp_path / "a")
        assert error.value.where.endswith("something-something-v2-validation.json: $[0]")


@pytest.mark.parametrize(
    ("row", "what"),
    [("/Run/a_1.avi,Run", "leads out"), ("../a_1.avi,Run", "leads out"), (".,Run", "can be no file's name"),
     ("Run/a_1.avi,Sit", "is listed before")],
)  # fmt: skip
def test_a_listed_path_stays_in_the_folder_and_comes_once(put, tmp_path, row, what):
    for name in ("clips.avi", "a_1.avi", "clips/Run/a_1.avi"):
        put(name)
    listing = put("list.csv", f"path,label,group\nRun/a_1.avi,Run,sunday\n{row},monday\n")
    with pytest.raises(BadInputError, match=what) as error:
        folder(tmp_path / "clips", listing)
    assert error.value.where.endswith("list.csv:3")


def test_a_listing_tells_the_group_and_the_folder_the_name(put, tmp_path, monkeypatch):
    put("clips/Run/a_1.avi")
    listing = put("list.csv", "path,label,group\nRun/a_1.avi,Run,sunday\n")
    monkeypatch.chdir(tmp_path / "clips")
    found = folder(Path("."), listing)
    assert (found.name, found.clips[0].group) == ("clips", "sunday")


def _hmdb51(put, root):
    put("turn_test_split1.txt", "good.avi 1\nlost.avi 2\nbroken.avi 2\n")
    return lambda **options: hmdb51(root, root, **options), [f"turn/{name}.avi" for name in ("good", "lost", "broken")]


def _kinetics(put, root):
    rows = "".join(f"a,{name},0,10,train\n" for name in ("good", "lost", "broken"))
    table = put("k.csv", f"label,youtube_id,time_start,time_end,split\n{rows}")
    files = [f"train/a/{name}_000000_000010.mp4" for name in ("good", "lost", "broken")]
    return lambda **options: kinetics(root, table, **options), files


def _something(put, root):
    put("something-something-v2-labels.json", '{"Holding something": "0"}')
    items = [{"id": str(i), "label": "x", "template": "Holding [something]"} for i in range(3)]
    put("something-something-v2-train.json", json.dumps(items[:1]))
    put("something-something-v2-validation.json", json.dumps(items[1:]))
    return lambda **options: something_something(root, root, **options), ["0.webm", "1.webm", "2.webm"]


def _folder(put, root):
    files = [f"Run/{name}.avi" for name in ("good", "lost", "broken")]
    listing = put("list.csv", "path,label\n" + "".join(f"{name},Run\n" for name in files))
    return lambda **options: folder(root, listing, **options), files


@pytest.mark.parametrize("layout", [_hmdb51, _kinetics, _something, _folder])
def test_every_layout_fails_on_lost_and_truncated_clips_or_leaves_them_out(put, tmp_path, layout):
    load, (good, lost, broken) = layout(put, tmp_path)
    put(good)
    clip = put(broken)
    clip.write_bytes(clip.read_bytes()[:50_000])
    with pytest.raises(BadInputError, match="no such file"):
        load()
    assert [path for path, _ in load(missing="skip").skipped] == [tmp_path / lost]
    found = load(missing="skip", check=True)
    assert [clip.path for clip in found.clips] == [tmp_path / good]
    assert [path for path, _ in found.skipped] == [tmp_path / lost, tmp_path / broken]
    put(lost)
    assert len(load().clips) == 3
    with pytest.raises(BadInputError, match="cannot be read"):
        load(check=True)
