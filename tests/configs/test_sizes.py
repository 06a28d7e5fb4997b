"""Sizes follow the published table and the autoencoder's grid."""

import pytest

from airshower.configs.sizes import ASPECTS, SIZES, Size, nearest_size


def test_every_side_fits_autoencoder_and_patch():
    for key, sizes in SIZES.items():
        assert set(sizes) == set(ASPECTS)
        for size in sizes.values():
            assert size.height % 16 == 0, (key, size)
            assert size.width % 16 == 0, (key, size)


@pytest.mark.parametrize(
    ("key", "height", "width", "size"),
    [
        ("720", 480, 832, Size(704, 1280)),
        ("720", 1280, 720, Size(1280, 704)),
        ("720p", 1080, 1920, Size(720, 1280)),
        ("480p", 500, 500, Size(640, 640)),
        ("144", 768, 1024, Size(144, 192)),
        ("144", 640, 480, Size(192, 144)),
    ],
)
def test_a_frame_takes_the_nearest_aspect_ratio(key, height, width, size):
    assert nearest_size(key, height, width) == size


def test_an_unknown_key_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'4k' is unknown: use one of 144, 480"):
        nearest_size("4k", 9, 16)
