import math

import pytest
import torch

from losses import d_hinge, d_nonsat, g_nonsat, r1_penalty


def test_nonsat_at_zero():
    z = torch.zeros(4)
    assert d_nonsat(z, z).item() == pytest.approx(2 * math.log(2))
    assert g_nonsat(z).item() == pytest.approx(math.log(2))


def test_hinge_by_hand():
    torch.manual_seed(0)
    real, fake = torch.randn(16), torch.randn(16)
    expected = 0.
    for r, f in zip(real.tolist(), fake.tolist()):
        expected += max(0., 1 - r) + max(0., 1 + f)
    assert d_hinge(real, fake).item() == pytest.approx(expected / 32)


@pytest.mark.parametrize('n', [1, 5])
def test_r1_of_linear_critic(n):
    w = torch.full((12,), 2.)
    x = torch.randn(n, 12)
    assert r1_penalty(lambda v: v @ w, x).item() == pytest.approx(48.)
