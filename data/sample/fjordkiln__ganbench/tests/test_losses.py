import math

import pytest
import torch
import torch.nn.functional as F

from losses import d_hinge, d_nonsat, g_nonsat, get_losses, r1_penalty, relativistic


@pytest.fixture
def scores():
    torch.manual_seed(0)
    return torch.randn(16), torch.randn(16)


def test_nonsat_at_zero():
    z = torch.zeros(4)
    assert d_nonsat(z, z).item() == pytest.approx(2 * math.log(2))
    assert g_nonsat(z).item() == pytest.approx(math.log(2))


def test_hinge_by_hand(scores):
    real, fake = scores
    expected = 0.
    for r, f in zip(real.tolist(), fake.tolist()):
        expected += max(0., 1 - r) + max(0., 1 + f)
    assert d_hinge(real, fake).item() == pytest.approx(expected / 32)


@pytest.mark.parametrize('name', ['nonsat', 'hinge', 'wgan', 'vanilla'])
def test_losses_are_scalars(name, scores):
    d, g = get_losses(name)
    assert d(*scores).dim() == 0
    assert g(scores[1]).dim() == 0


def test_r1_of_linear_critic():
    w = torch.full((12,), 2.)
    x = torch.randn(5, 12)
    assert r1_penalty(lambda v: v @ w, x).item() == pytest.approx(48.)


class TestRelativistic:
    def test_symmetry(self, scores):
        d, g = relativistic('ls')
        assert torch.allclose(d(*scores), g(*reversed(scores)))

    def test_unknown(self):
        with pytest.raises(ValueError):
            relativistic('wgan')
