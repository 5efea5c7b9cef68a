"""Images in one light: what a picture is multiplied by, and what it looks like then."""

import pytest
import torch

from fs4cli.model.exposure import DARK, PLACES, Exposure, divide_places, find_reference


def usual(value: float = 0.5) -> Exposure:
    """What sees images as bright as that, everywhere and in every channel."""
    return Exposure(torch.full((3, PLACES, PLACES), value))


def test_an_image_half_as_bright_is_made_as_bright_as_usual_channel_by_channel():
    image = torch.full((1, 3, 32, 32), 0.5)
    image[:, 2] = 0.25
    gains = usual().find_gains(image)[0]

    assert gains[:2].tolist() == [1, 1]
    assert gains[2].item() == pytest.approx((0.5 + DARK) / (0.25 + DARK))


def test_a_car_in_two_fifths_of_the_picture_does_not_change_its_light():
    image = torch.full((1, 3, 160, 160), 0.25)
    image[..., :64, :] = 1.0

    assert torch.equal(usual().find_gains(image), usual().find_gains(torch.full((1, 3, 160, 160), 0.25)))


@pytest.mark.parametrize(("value", "gain"), [(0.0, 4.0), (1.0, 0.25)])
def test_no_image_is_made_more_than_four_times_as_bright_or_as_dark(value, gain):
    seen = usual(0.9 if value == 0 else 0.01)

    assert seen.find_gains(torch.full((1, 3, 32, 32), value)).tolist() == [[gain] * 3]
    assert seen(torch.full((1, 3, 32, 32), value)).amax() <= 1


def test_one_picture_in_many_lights_is_one_picture_again():
    torch.manual_seed(0)
    picture = 0.2 + 0.2 * torch.rand(3, 64, 64)
    lights = torch.tensor([[0.5, 0.5, 0.5], [1.0, 1.0, 1.0], [2.0, 2.0, 1.5], [1.5, 1.0, 0.75]])
    images = picture * lights[:, :, None, None]
    exposure = Exposure(find_reference(divide_places(images)))

    apart, together = images.std(0).mean(), exposure(images).std(0).mean()
    assert apart > 0.1
    assert together < 0.02


def test_an_image_is_seen_alike_whatever_else_is_in_the_batch():
    torch.manual_seed(0)
    images, exposure = torch.rand(3, 3, 64, 96), usual()

    assert torch.equal(exposure(images)[1:2], exposure(images[1:2]))


def test_images_of_a_few_pixels_have_their_light_too():
    assert usual().find_gains(torch.full((1, 3, 2, 5), 0.5)).tolist() == [[1, 1, 1]]
