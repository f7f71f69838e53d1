"""Every GAN objective of the comparison, as plain functions of the critic's outputs."""
import torch
import torch.nn.functional as F
from torch import autograd


def d_nonsat(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def g_nonsat(fake):
    return F.softplus(-fake).mean()


def d_hinge(real, fake):
    loss_real = F.relu(1. - real).mean()
    loss_fake = F.relu(1. + fake).mean()
    return 0.5 * (loss_real + loss_fake)


def g_hinge(fake):
    return -fake.mean()


def d_wgan(real, fake):
    return fake.mean() - real.mean()


def g_bce(fake):
    # the same as g_nonsat, but off the shelf
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


def r1_penalty(critic, real):
    real = real.detach().requires_grad_(True)
    grad, = autograd.grad(critic(real).sum(), real, create_graph=True)
    return grad.pow(2).flatten(1).sum(1).mean()


def get_losses(name):
    """Return (d_loss, g_loss)."""
    if name == 'nonsat':
        return d_nonsat, g_nonsat
    elif name == 'hinge':
        return d_hinge, g_hinge
    elif name == 'wgan':
        return d_wgan, g_hinge  # the generator's part is the same
    elif name == 'bce':
        return d_nonsat, g_bce
    raise ValueError('unknown loss ' + name)


def relativistic(base='hinge', eps=0.):
    if base not in ('hinge', 'ls'):
        raise ValueError('no relativistic version of ' + base)

    def d_loss(real, fake):
        r, f = real - fake.mean(), fake - real.mean()
        if base == 'hinge':
            return F.relu(1 - eps - r).mean() + F.relu(1 - eps + f).mean()
        return (r - 1).pow(2).mean() + (f + 1).pow(2).mean()

    def g_loss(real, fake):
        return d_loss(fake, real)

    return d_loss, g_loss


def feature_matching(real_feats, fake_feats, skip_last=True):
    if skip_last:
        real_feats, fake_feats = real_feats[:-1], fake_feats[:-1]
    loss = 0
    for r, f in zip(real_feats, fake_feats):
        loss += F.l1_loss(f, r.detach())
    return loss / len(fake_feats)
