"""Cases for weights whose channels have names of their own."""

import numpy as np
import pytest

from brainseg.predict.scan import Scan

PIXELS = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)


def test_a_lone_sequence_is_the_only_channel_of_weights_that_know_no_flair() -> None:
    scan = Scan("case", {"flair": PIXELS}, {"flair": []}, spacing=(1, 1, 1)).known_as(["ct"])
    assert scan.missing(["ct"]) == []
    np.testing.assert_array_equal(scan.volume(["ct"])[..., 0], PIXELS)
    assert list(scan.files) == ["ct"]


def test_the_channels_of_a_picture_are_those_of_the_weights_in_their_order() -> None:
    three = {name: PIXELS + k for k, name in enumerate(("pre", "flair", "post"))}
    scan = Scan("case", three, {}).known_as(["red", "green", "blue"])
    np.testing.assert_array_equal(scan.volume(["red", "green", "blue"])[0, 0, 0], [0, 1, 2])
    grey = Scan("case", {"flair": PIXELS}, {}).known_as(["red", "green", "blue"])
    assert grey.missing(["red", "green", "blue"]) == ["green", "blue"]
    np.testing.assert_array_equal(grey.volume(["red", "blue"])[..., 1], PIXELS)


def test_what_the_weights_know_by_no_name_is_refused() -> None:
    scan = Scan("case", {"flair": PIXELS}, {}, spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="case has flair; the weights know t2, adc: name a file"):
        scan.known_as(["t2", "adc"])
    assert scan.known_as(["pre", "flair"]) is scan
