import math

import torch
from torch import nn
import torch.nn.functional as F


class DiagGauss:
    """Gaussian with a diagonal covariance, parametrised by mean and log variance."""

    def __init__(self, mean, logvar):
        self.mean = mean
        self.logvar = torch.clamp(logvar, -20., 10.)

    def rsample(self):
        return self.mean + torch.exp(0.5 * self.logvar) * torch.randn_like(self.mean)

    def kl(self):
        # to the standard normal, element by element
        return 0.5 * (self.mean.pow(2) + self.logvar.exp() - 1. - self.logvar)

    def nll(self, x):
        sq = (x - self.mean).pow(2) / self.logvar.exp()
        return 0.5 * (math.log(2 * math.pi) + self.logvar + sq)


class EMACodebook(nn.Module):
    """Nearest code; the codes follow the encoder by a moving average, no gradient reaches them."""

    def __init__(self, n_codes, dim, decay = 0.99, eps = 1e-5):
        super().__init__()
        self.decay, self.eps = decay, eps
        codes = torch.randn(n_codes, dim)
        self.register_buffer('codes', codes)
        self.register_buffer('counts', torch.zeros(n_codes))
        self.register_buffer('sums', codes.clone())

    @torch.no_grad()
    def _follow(self, flat, onehot):
        self.counts.mul_(self.decay).add_(onehot.sum(0), alpha = 1 - self.decay)
        self.sums.mul_(self.decay).add_(onehot.t() @ flat, alpha = 1 - self.decay)
        n = self.counts.sum()
        counts = (self.counts + self.eps) / (n + len(self.counts) * self.eps) * n
        self.codes.copy_(self.sums / counts.unsqueeze(1))

    def forward(self, z):
        b, d, h, w = z.shape
        flat = z.permute(0, 2, 3, 1).reshape(-1, d)
        dist = flat.pow(2).sum(1, keepdim = True) - 2 * flat @ self.codes.t() + self.codes.pow(2).sum(1)
        ids = dist.argmin(1)
        if self.training:
            self._follow(flat, F.one_hot(ids, len(self.codes)).type_as(flat))
        q = self.codes[ids].view(b, h, w, d).permute(0, 3, 1, 2)
        commit = (z - q.detach()).pow(2).mean()
        q = z + (q - z).detach()    # straight through
        return q, ids.view(b, h, w), commit
