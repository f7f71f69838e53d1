"""The plain autoencoder the paper compares with, in the fit/score manner of sklearn."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class DenoisingAE(nn.Module):
    def __init__(self, n_in=12288, n_code=64, noise=0.2, sparsity=1e-4, epochs=20):
        super(DenoisingAE, self).__init__()
        self.noise, self.sparsity, self.epochs = noise, sparsity, epochs
        self.enc = nn.Linear(n_in, n_code)
        self.dec = nn.Linear(n_code, n_in)

    def forward(self, x):
        code = torch.sigmoid(self.enc(x))
        return torch.sigmoid(self.dec(code)), code

    def _objective(self, x):
        dirty = x * (torch.rand_like(x) > self.noise).float()
        out, code = self(dirty)
        return F.binary_cross_entropy(out, x) + self.sparsity * code.abs().sum(1).mean()

    def fit(self, X, batch_size=100, lr=1e-3, verbose=True):
        opt = torch.optim.Adam(self.parameters(), lr)
        X = torch.as_tensor(X, dtype=torch.float32)
        for ep in range(self.epochs):
            costs = []
            for rows in torch.randperm(len(X)).split(batch_size):
                opt.zero_grad()
                cost = self._objective(X[rows])
                cost.backward()
                opt.step()
                costs.append(cost.item())
            if verbose:
                print('%3d  %.5f' % (ep, np.mean(costs)))
        return self

    @torch.no_grad()
    def score(self, X):
        """Negative reconstruction cost, larger is better (as sklearn wants it)."""
        X = torch.as_tensor(X, dtype=torch.float32)
        out, code = self(X)
        bce = -(X * torch.log(out + 1e-8) + (1 - X) * torch.log(1 - out + 1e-8)).mean()
        return -(bce + self.sparsity * code.abs().sum(1).mean()).item()
