"""Tests of aerepr/data/images.py."""

from __future__ import annotations

import random
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aerepr.data.images import list_images, read_images
from aerepr.errors import DataError


def refused(*parts: str) -> object:
    return pytest.raises(DataError, match="(?s)" + ".*".join(map(re.escape, parts)))


def save(path: Path, size: tuple[int, int] = (6, 4), color: object = (10, 20, 30), mode: str = "RGB") -> Path:
    """Write a picture of one colour; size is (width, height), as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)  # type: ignore[arg-type]
    return path


def test_class_folders_are_numbered_in_natural_order(tmp_path: Path) -> None:
    for name in (
        "10/a.png",
        "2/img10.png",
        "2/img2.PNG",
        "1/x.jpg",
        "1/.hidden.png",
        "1/notes.txt",
        "__MACOSX/._a.png",
    ):
        save(tmp_path / name) if name.lower().endswith(("png", "jpg")) else (tmp_path / name).write_text("x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".cache").mkdir()
    files, classes = list_images(tmp_path)
    assert classes == ("1", "2", "10")
    assert [(path.relative_to(tmp_path).as_posix(), index) for path, index in files] == [
        ("1/x.jpg", 0),
        ("2/img2.PNG", 1),
        ("2/img10.png", 1),
        ("10/a.png", 2),
    ]


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    for name in ("b.png", "a2.bmp", "a10.webp", "a1.tif", "a3.jpeg"):
        save(tmp_path / name)
    files, classes = list_images(tmp_path)
    assert [path.name for path, _ in files] == ["a1.tif", "a2.bmp", "a3.jpeg", "a10.webp", "b.png"]
    assert all(index is None for _, index in files)
    assert classes == ()


def test_other_unicode_digits_do_not_disturb_the_order(tmp_path: Path) -> None:
    for name in ("\u00b2.png", "\u0663.png", "1.png", "01.png"):
        save(tmp_path / name)
    assert [path.name for path, _ in list_images(tmp_path)[0]] == ["01.png", "1.png", "\u00b2.png", "\u0663.png"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with refused(tmp_path.name, "found no pictures, expected <class>/*.png"):
        list_images(tmp_path)


def test_an_empty_class_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "cat" / "a.png")
    save(tmp_path / "dog" / "deeper" / "a.png")
    with refused("dog: found no pictures in this class folder, expected at least one"):
        list_images(tmp_path)


def test_pictures_beside_class_folders_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "cat" / "a.png")
    save(tmp_path / "b.png")
    with refused("found pictures beside class folders (b.png and cat/)", "expected one or the other"):
        list_images(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with refused("nowhere: found no such folder, expected a folder of pictures"):
        list_images(tmp_path / "nowhere")
    with refused("a.png: found a file, expected a folder of pictures"):
        list_images(save(tmp_path / "a.png"))


def test_pictures_of_one_size_are_stacked_as_they_are(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{i}.png", color=(i, 20, 30)) for i in range(40)]
    images = read_images(files, None)
    assert images.shape == (40, 4, 6, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(40))


def test_grey_has_one_channel(tmp_path: Path) -> None:
    assert read_images([save(tmp_path / "a.png")], None, mode="L").shape == (1, 4, 6, 1)
    assert read_images([save(tmp_path / "b.png", color=1, mode="1")], (2, 2), mode="L")[0, 0, 0, 0] == 255


def test_two_sizes_are_refused_naming_two_files(tmp_path: Path) -> None:
    files = [save(tmp_path / "a.png"), save(tmp_path / "b.png"), save(tmp_path / "c.png", size=(5, 4))]
    with refused("c.png: found 4 x 5 where", "a.png has 4 x 6", "expected one size"):
        read_images(files, None)


def stripes(path: Path) -> Path:
    """12 wide, 4 high: red, green and blue thirds."""
    pixels = np.zeros((4, 12, 3), np.uint8)
    for i in range(3):
        pixels[:, 4 * i : 4 * i + 4, i] = 255
    Image.fromarray(pixels).save(path)
    return path


def test_the_centre_is_cut_to_the_aspect_ratio(tmp_path: Path) -> None:
    image = read_images([stripes(tmp_path / "a.png")], (4, 4))[0]
    np.testing.assert_array_equal(image, np.broadcast_to([0, 255, 0], (4, 4, 3)))


def test_a_wide_target_cuts_top_and_bottom(tmp_path: Path) -> None:
    pixels = np.zeros((12, 4, 3), np.uint8)
    pixels[5:7] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_images([tmp_path / "a.png"], (2, 4)).min() == 255


def test_without_a_crop_the_picture_is_stretched(tmp_path: Path) -> None:
    image = read_images([stripes(tmp_path / "a.png")], (4, 4), crop="none")[0]
    assert image[0, 0].argmax() == 0
    assert image[0, -1].argmax() == 2


def test_size_is_height_then_width(tmp_path: Path) -> None:
    assert read_images([save(tmp_path / "a.png")], (8, 10)).shape == (1, 8, 10, 3)


def test_a_downscaled_checkerboard_is_grey(tmp_path: Path) -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "a.png")
    inner = read_images([tmp_path / "a.png"], (16, 16), mode="L")[0, 2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 2, "a filter that skips pixels would leave black or white"


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(stripes(tmp_path / "a.png"))
    image.save(tmp_path / "b.png", exif=exif)
    upright = read_images([tmp_path / "b.png"], None)[0]
    assert upright.shape == (12, 4, 3)
    assert upright[0, 0].argmax() == 0


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", color=(0, 0, 0, 0), mode="RGBA")
    assert read_images([file], None).min() == 255


@pytest.mark.parametrize(("name", "mode"), [("a.png", "I;16"), ("a.tif", "I"), ("a.tif", "F")])
def test_more_than_eight_bits_are_refused(tmp_path: Path, name: str, mode: str) -> None:
    file = save(tmp_path / name, color=1000, mode=mode)
    with refused("found 1 of 1 pictures", f"{name}: more than 8 bits a channel (mode {mode})", "expected 8-bit"):
        read_images([file], None)


def test_all_pictures_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    for name in ("cut.png", "cut.jpg"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:500])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    good = save(tmp_path / "good.png", size=(32, 32))
    names = ["cut.jpg", "cut.png", "empty.png", "missing.png", "text.png"]
    with refused("found 5 of 6 pictures that cannot be used", *names, "repair or remove") as caught:
        read_images([tmp_path / name for name in names] + [good], (8, 8))
    assert "good.png" not in str(caught.value)


def test_many_bad_pictures_are_counted(tmp_path: Path) -> None:
    with refused("found 9 of 9", "; and 4 more)"):
        read_images([tmp_path / f"{i}.png" for i in range(9)], None)


@pytest.mark.parametrize("limit", [20, 10], ids=["warned-of", "refused-by-pillow"])
def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    file = save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with refused("found 1 of 1 pictures", "a.png: Image size (24 pixels) exceeds limit"):
        read_images([file], None)


@pytest.mark.parametrize("kind", [OSError, SyntaxError, ValueError, TypeError, struct.error, zlib.error, EOFError])
def test_whatever_a_decoder_raises_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def broken(path: Path) -> None:
        raise kind("unreadable")

    monkeypatch.setattr(Image, "open", broken)
    with refused("found 1 of 1 pictures", "a.png: unreadable", "expected"):
        read_images([tmp_path / "a.png"], None)


def test_damaged_files_never_escape_as_other_errors(tmp_path: Path) -> None:
    source = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8))
    for suffix in ("png", "jpg", "bmp", "webp", "tif"):
        noise.save(tmp_path / f"a.{suffix}")
        content = (tmp_path / f"a.{suffix}").read_bytes()
        damaged = []
        for i in range(40):
            changed = bytearray(content)
            for _ in range(source.randint(1, 8)):
                changed[source.randrange(min(len(changed), 400))] = source.randrange(256)
            path = tmp_path / f"{i}.{suffix}"
            path.write_bytes(bytes(changed))
            damaged.append(path)
        with refused("of 40 pictures that cannot be used"):
            read_images(damaged, (8, 8))


def test_no_files_and_no_pixels_are_refused(tmp_path: Path) -> None:
    with refused("found no pictures to read, expected at least one"):
        read_images([], None)
    with refused("found size (0, 8), expected height and width of at least 1"):
        read_images([save(tmp_path / "a.png")], (0, 8))


def test_trashnet(real_data: Path) -> None:
    files, classes = list_images(real_data / "trashnet")
    assert classes == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert np.bincount([index for _, index in files]).tolist() == [200, 200, 200, 200, 200, 90]
    images = read_images([path for path, _ in files], (128, 128))
    assert images.shape == (1090, 128, 128, 3)
    assert images.std() > 10


def test_sign_digits(real_data: Path) -> None:
    files, classes = list_images(real_data / "sign_digits")
    assert classes == tuple("0123456789")
    assert np.bincount([index for _, index in files]).tolist() == [60] * 10
    paths = [path for path, _ in files]
    assert read_images(paths, None).shape == (600, 100, 100, 3)
    assert read_images(paths, (128, 128)).shape == (600, 128, 128, 3)
