import numpy as np
import pytest
from scipy.ndimage import median_filter

from brainseg.data.head import HEAD, brain_box, foreground, statistics
from brainseg.data.preprocess import Box, denoise, fit_image, fit_mask, undo, whole_box


def volume(background: int = 0) -> np.ndarray:
    """`[4, 48, 64, 3]`: a disc of radius 12 around (20, 40), its radius falling to 6; a speck."""
    y, x = np.mgrid[:48, :64]
    images = np.full((4, 48, 64, 3), background, np.uint8)
    for k, radius in enumerate((12, 10, 8, 6)):
        images[k][(y - 20) ** 2 + (x - 40) ** 2 <= radius**2] = 100, 150, 200
    images[1, 45, 3] = 255
    return images


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 8), (15, 15)])
def test_the_whole_box_holds_every_pixel_once(shape: tuple[int, int]) -> None:
    image = np.arange(1, np.prod(shape) + 1, dtype=np.uint8).reshape(*shape, 1)
    box = whole_box(*shape)
    fitted = fit_image(image, box, box.side)
    assert box.side == max(shape)
    assert sorted(fitted[fitted > 0]) == sorted(image.ravel())
    np.testing.assert_array_equal(undo(fitted[None, ..., 0], box, shape)[0], image[..., 0])


def test_an_image_of_the_network_size_is_not_touched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_image(image, whole_box(32, 32), 32), image)


def test_shrinking_takes_the_mean_of_the_area() -> None:
    image = np.array([[0, 40], [80, 120]], np.uint8)[..., None].repeat(5, axis=2)
    np.testing.assert_array_equal(fit_image(image, whole_box(2, 2), 1), np.full((1, 1, 5), 60))


def test_a_mask_pixel_needs_half_of_its_area() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[0, :2] = 1  # half of the upper left 2 x 2
    mask[2, 0] = 1  # a quarter of the lower left one
    np.testing.assert_array_equal(fit_mask(mask, whole_box(4, 4), 2), [[1, 0], [0, 0]])


def test_an_enlarged_mask_shrinks_back_to_itself() -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[3:9, 5:12] = 1
    large = fit_mask(mask, whole_box(16, 16), 48)
    assert set(np.unique(large)) == {0, 1}
    np.testing.assert_array_equal(undo(large[None], whole_box(16, 16), (16, 16))[0] >= 0.5, mask)


def test_outside_of_the_box_the_undone_map_is_zero() -> None:
    whole = undo(np.ones((1, 32, 32), np.float32), Box(-2, 5, 10), (12, 20))[0]
    expected = np.zeros((12, 20))
    expected[:8, 5:15] = 1
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert whole.dtype == np.float32


@pytest.mark.parametrize("head", HEAD)
@pytest.mark.parametrize("background", [0, 60])
def test_foreground_is_the_head_whatever_the_background(background: int, head: str) -> None:
    images = volume(background)
    np.testing.assert_array_equal(foreground(images, head), images[..., 1] > background)


def brain(lesion: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A head `[D, H, W, 1]` of 70 +- 10 in air of 0 to 8, with fat of 250 around it, and itself."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*(np.linspace(-1, 1, 128),) * 2, indexing="ij")
    radius = np.hypot(y, x)
    image = np.where(radius < 0.7, rng.normal(70, 10, (6, 128, 128)), rng.uniform(0, 8, y.shape))
    image[:, (radius >= 0.7) & (radius < 0.75)] = 250
    image[:, 40:60, 40:60] = lesion
    inside = np.repeat((radius < 0.75)[None], 6, 0)
    return image.clip(0, 255).astype(np.uint8)[..., None], inside


@pytest.mark.parametrize("gamma", [0.4, 0.6, 1, 1.7, 2.5])
def test_power_finds_the_same_head_at_any_gamma(gamma: float) -> None:
    image, inside = brain()
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    found = foreground(table[image], "power")
    assert 2 * (found & inside).sum() / (found.sum() + inside.sum()) > 0.93


def test_power_finds_the_head_below_fat_and_lesion() -> None:
    image, inside = brain(lesion=255)
    dim = (image // 3).astype(np.uint8)  # another top of the range
    for each in (image, dim):
        assert foreground(each, "power").mean() == pytest.approx(inside.mean(), rel=0.1)
    assert foreground(image).mean() < 0.5 * inside.mean()


@pytest.mark.parametrize("head", HEAD)
def test_power_finds_the_head_in_noise(head: str) -> None:
    image, inside = brain()
    real, imaginary = np.random.default_rng(0).normal(0, 30, (2, *image.shape))
    noisy = np.hypot(image + real, imaginary).clip(0, 255).astype(np.uint8)
    found = foreground(noisy, head)
    overlap = 2 * (found & inside).sum() / (found.sum() + inside.sum())
    assert overlap > 0.9 if head == "power" else overlap < 0.9


def test_power_has_a_head_of_what_is_no_head() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 1), dtype=np.uint8)
    assert foreground(noise, "power").any()
    assert foreground(np.full((1, 40, 40, 1), 9, np.uint8), "power").all()
    assert not foreground(np.zeros((1, 40, 40, 1), np.uint8), "power").any()


def test_the_brain_box_covers_all_slices_and_ignores_specks() -> None:
    box = brain_box(foreground(volume()), margin=0)
    assert tuple(box) == pytest.approx((8, 28, 25), abs=2)
    wide = brain_box(foreground(volume()), margin=0.2)
    assert wide.side == round(box.side * 1.4)


def test_the_brain_box_stays_inside_the_image_if_it_fits() -> None:
    images = np.zeros((1, 40, 40, 3), np.uint8)
    images[:, :38, 10:30] = 100
    box = brain_box(foreground(images), margin=0.02)
    assert box.top >= 0
    assert box.left >= 0
    assert box.top + box.side <= 40
    assert box.left + box.side <= 40


def test_black_volumes_have_the_whole_box_and_neutral_statistics() -> None:
    black = np.zeros((2, 32, 48, 3), np.uint8)
    assert brain_box(foreground(black)) == whole_box(32, 48)
    assert statistics(black) == ([0.0] * 3, [1.0] * 3)


def test_statistics_are_those_of_the_foreground() -> None:
    rng = np.random.default_rng(0)
    images = volume()
    images[images > 0] += rng.integers(0, 20, (images > 0).sum(), dtype=np.uint8)
    inside = images[foreground(images)]
    mean, deviation = statistics(images)
    np.testing.assert_allclose(mean, inside.mean(axis=0))
    np.testing.assert_allclose(deviation, inside.std(axis=0))


def test_a_constant_channel_has_a_deviation_of_1() -> None:
    images = np.zeros((2, 16, 16, 2), np.uint8)
    images[:, 4:12, 4:12] = 90, 40
    assert statistics(images) == ([90.0, 40.0], [1.0, 1.0])


def test_median_is_the_median_of_3_by_3_in_each_channel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 20, 4), dtype=np.uint8)
    expected = median_filter(image, size=(3, 3, 1), mode="nearest")
    np.testing.assert_array_equal(denoise(image, "median"), expected)


def test_non_local_means_removes_noise_and_keeps_edges() -> None:
    clean = volume(background=30)[0]  # above 0, where clipped noise would have a mean
    noise = np.random.default_rng(0).normal(0, 2, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    error = np.abs(denoise(noisy, "nlm").astype(int) - clean).mean()
    assert error < 0.6 * np.abs(noisy.astype(int) - clean).mean()
    assert denoise(noisy, "nlm")[20, 40].astype(int) == pytest.approx([100, 150, 200], abs=4)


def test_none_keeps_the_pixels() -> None:
    np.testing.assert_array_equal(denoise(volume()[0], "none"), volume()[0])
