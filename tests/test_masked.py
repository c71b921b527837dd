"""Real objects in the place of others: what a perfect translation would look like."""

import numpy as np
from PIL import Image

from cyclegan.masked import exchanged

GREY, RED, BLUE = (128, 128, 128), (220, 30, 30), (30, 30, 220)


def masked(box: tuple[int, int, int, int], colour: tuple[int, int, int], doubt: int = 0):
    """A thing of one colour on grey, its mask, and a strip below of which nobody is sure."""
    left, top, right, bottom = box
    photo = Image.new("RGB", (64, 48), GREY)
    photo.paste(colour, box)
    mask = np.zeros((48, 64), np.uint8)
    mask[top:bottom, left:right] = 255
    mask[bottom : bottom + doubt, left:right] = 128
    return photo, mask


def test_an_object_takes_the_box_of_the_other_and_the_rest_stays():
    place, other = masked((10, 8, 30, 28), RED), masked((30, 5, 60, 35), BLUE)
    (made,) = exchanged([place], [other], seed=0)
    pixels = np.asarray(made).astype(int)
    assert made.size == (64, 48)
    assert abs(pixels[9:27, 11:29] - BLUE).max() <= 2
    rest = np.ones((48, 64), bool)
    rest[8:28, 10:30] = False
    assert abs(pixels[rest] - GREY).max() <= 2


def test_the_old_object_is_gone_where_the_new_one_has_another_outline():
    place, (photo, mask) = masked((10, 8, 30, 28), RED), masked((30, 5, 60, 35), BLUE)
    # Half of the box around it; what is grey of it does not come along.
    mask[5:20, 30:45], mask[20:35, 45:60] = 0, 128
    (made,) = exchanged([place], [(photo, mask)], seed=0)
    pixels = np.asarray(made).astype(int)
    for corner in (pixels[9:16, 11:18], pixels[20:27, 22:29]):
        assert abs(corner - GREY).max() <= 2
    assert abs(pixels[9:16, 22:29] - BLUE).max() <= 2


def test_what_may_be_of_the_old_object_goes_too():
    (made,) = exchanged([masked((10, 8, 30, 18), RED)], [masked((30, 5, 60, 20), BLUE)], seed=0)
    striped = masked((10, 8, 30, 18), RED, doubt=10)
    striped[0].paste(RED, (10, 18, 30, 28))
    (also,) = exchanged([striped], [masked((30, 5, 60, 20), BLUE)], seed=0)
    assert abs(np.asarray(also).astype(int) - np.asarray(made)).max() <= 2


def test_objects_go_where_one_of_like_proportions_was():
    flat = [masked((2, 2, 42 + i, 12), RED) for i in range(6)]
    tall = [masked((2, 2, 12, 42 + i), BLUE) for i in range(6)]
    for seed in range(4):
        (made,) = exchanged([masked((20, 4, 28, 40), RED)], flat + tall, seed)
        assert abs(np.asarray(made)[20, 24].astype(int) - BLUE).max() <= 2


def test_places_without_an_object_and_objects_that_are_too_small_are_left_out():
    empty = masked((0, 0, 0, 0), RED)
    place, large, small = (
        masked((10, 8, 30, 28), RED),
        masked((0, 0, 20, 20), BLUE),
        masked((0, 0, 9, 9), BLUE),
    )
    assert len(exchanged([empty, place, place], [large, small], seed=0)) == 2
    assert exchanged([place], [small], seed=0) == []
