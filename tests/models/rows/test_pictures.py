"""Pictures of every kind, and what is said of those that cannot be read."""

import numpy as np
import polars as pl
import pytest

from mlc.errors import DataError
from mlc.models.rows.pictures import read_pictures

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow: pip install 'mlc[image]'")


def square(path, size=8, missing="error"):
    pixels, faults = read_pictures(pl.Series([str(path)]), size, missing)
    assert faults == []
    return pixels[0]


@pytest.fixture
def grey(tmp_path):
    """A grey ramp of 16 by 16 pixels, and a folder to save it in many ways."""
    return np.tile(np.arange(16, dtype=np.uint8) * 16, (16, 1)), tmp_path


def test_pictures_of_every_mode_show_the_same(grey):
    ramp, folder = grey
    plain = Image.fromarray(ramp)
    plain.convert("RGB").save(folder / "rgb.png")
    expected = square(folder / "rgb.png")
    assert expected.shape == (3, 8, 8)
    assert expected[0, 0, 0] < expected[0, 0, 7]
    for name, picture in {
        "grey.png": plain,
        "palette.png": plain.convert("P"),
        "alpha.png": plain.convert("RGBA"),
        "deep.png": Image.fromarray(ramp.astype(np.uint16) * 257),
        "whole.tif": Image.fromarray(ramp.astype(np.int32)),
        "float.tif": Image.fromarray(ramp.astype(np.float32) / 255),
        "print.tif": plain.convert("RGB").convert("CMYK"),
    }.items():
        picture.save(folder / name)
        assert np.abs(square(folder / name).astype(int) - expected).max() <= 2, name


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert square(tmp_path / "two.gif").min() >= 254


def test_transparent_parts_are_white(tmp_path):
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert square(tmp_path / "clear.png").min() == 255


def test_the_rotation_of_a_camera_is_undone(tmp_path):
    picture = Image.new("RGB", (16, 16), "black")
    picture.paste("white", (0, 0, 16, 8))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    turned = square(tmp_path / "turned.png")[0].astype(int)
    assert turned[:, 7].min() > 200
    assert turned[:, 0].max() < 50


@pytest.fixture
def damaged(tmp_path):
    """Paths of pictures that cannot be read, of one that can, and none at all."""
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture at all")
    Image.effect_noise((64, 64), 50).save(tmp_path / "good.png")
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    names = ["empty.jpg", "text.jpg", "good.png", "cut.jpg", "absent.jpg"]
    return pl.Series([*(str(tmp_path / name) for name in names), None])


def test_pictures_that_cannot_be_read_are_counted_and_named_in_one_error(damaged):
    with pytest.raises(DataError) as caught:
        read_pictures(damaged, 8, "error")
    message = str(caught.value)
    assert "4 of 5 pictures cannot be read" in message
    assert "empty.jpg (the file is empty)" in message
    assert "text.jpg (no picture)" in message
    assert "Mend them, or set missing: leave_out." in message


def test_pictures_that_cannot_be_read_can_be_left_out(damaged):
    pixels, faults = read_pictures(damaged, 8, "leave_out")
    assert [fault.reason for fault in faults][:2] == ["the file is empty", "no picture"]
    assert faults[-1].reason == "no such file"
    assert [int(picture.std()) > 0 for picture in pixels] == [False, False, True, False, False, False]


def test_a_file_that_claims_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mlc.models.rows.pictures._MOST_PIXELS", 100)
    Image.new("RGB", (16, 16)).save(tmp_path / "large.png")
    with pytest.raises(DataError, match="it claims 16 x 16 pixels"):
        read_pictures(pl.Series([str(tmp_path / "large.png")]), 8, "error")


def test_pictures_without_pillow_are_one_clear_error(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"pip install 'mlc\[image\]'"):
        read_pictures(pl.Series(["a.png"]), 8, "error")
