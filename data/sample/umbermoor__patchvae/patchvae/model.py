import torch
from torch import nn
import torch.nn.functional as F

from patchvae.latent import DiagGauss, EMACodebook


def down(cin, cout):
    return nn.Sequential(nn.Conv2d(cin, cout, 4, 2, 1), nn.GroupNorm(8, cout), nn.SiLU())


def up(cin, cout):
    return nn.Sequential(
        nn.Upsample(scale_factor = 2, mode = 'nearest'),
        nn.Conv2d(cin, cout, 3, padding = 1), nn.GroupNorm(8, cout), nn.SiLU())


class PatchVAE(nn.Module):
    def __init__(self, channels = 3, dim = 64, z_dim = 16, beta = 1., recon = 'l1', free_bits = 0.):
        super().__init__()
        assert recon in ('l1', 'l2', 'bce')
        self.beta, self.recon, self.free_bits = beta, recon, free_bits
        self.enc = nn.Sequential(
            down(channels, dim), down(dim, dim * 2), down(dim * 2, dim * 4),
            nn.Conv2d(dim * 4, z_dim * 2, 1))
        self.dec = nn.Sequential(
            nn.Conv2d(z_dim, dim * 4, 1),
            up(dim * 4, dim * 2), up(dim * 2, dim), up(dim, dim),
            nn.Conv2d(dim, channels, 3, padding = 1))

    def encode(self, x):
        return DiagGauss(*self.enc(x).chunk(2, dim = 1))

    def decode(self, z):
        return self.dec(z)

    @torch.no_grad()
    def sample(self, n, side = 8):
        w = self.dec[0].weight
        z = torch.randn(n, w.shape[1], side, side, device = w.device)
        return self.decode(z).clamp(0., 1.)

    def forward(self, x, return_recon = False):
        q = self.encode(x)
        y = self.decode(q.rsample())

        if self.recon == 'l1':
            rec = F.l1_loss(y, x, reduction = 'none')
        elif self.recon == 'l2':
            rec = F.mse_loss(y, x, reduction = 'none')
        else:
            rec = F.binary_cross_entropy_with_logits(y, x, reduction = 'none')
        rec = rec.flatten(1).sum(1).mean()

        kl = q.kl().clamp(min = self.free_bits).flatten(1).sum(1).mean()
        loss = rec + self.beta * kl

        logs = dict(rec = rec.item(), kl = kl.item())
        if return_recon:
            return loss, logs, y
        return loss, logs


class PatchVQ(nn.Module):
    # the discrete cousin

    def __init__(self, channels = 3, dim = 64, code_dim = 32, n_codes = 512):
        super().__init__()
        self.enc = nn.Sequential(down(channels, dim), down(dim, dim * 2), nn.Conv2d(dim * 2, code_dim, 1))
        self.codebook = EMACodebook(n_codes, code_dim)
        self.dec = nn.Sequential(nn.Conv2d(code_dim, dim * 2, 1), up(dim * 2, dim), up(dim, dim),
                                 nn.Conv2d(dim, channels, 3, padding = 1))

    def forward(self, x):
        z, ids, commit = self.codebook(self.enc(x))
        y = self.dec(z)
        loss = F.mse_loss(y, x) + 0.25 * commit
        return loss, dict(commit = commit.item(), used = ids.unique().numel())
