"""Which t to train on: where the loss has been large lately (floor=1 is uniform)."""
import numpy as np
import torch


class AdaptiveSteps:
    def __init__(self, T, decay=.99, floor=.2):
        self.T, self.decay, self.floor = T, decay, floor
        self.sq = np.ones(T)

    def draw(self, n):
        p = np.sqrt(self.sq)
        p = (1 - self.floor) * p / p.sum() + self.floor / self.T
        t = np.random.choice(self.T, n, p=p)
        return torch.from_numpy(t), torch.from_numpy(1 / (self.T * p[t])).float()

    def tell(self, t, losses):
        for i, l in zip(t.tolist(), losses.detach().cpu().tolist()):
            self.sq[i] = self.decay * self.sq[i] + (1 - self.decay) * l * l
