import math
import torch


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
