import torch
import torch.nn.functional as F
from tqdm import tqdm


class RBM(object):
    """Bernoulli-Bernoulli RBM, trained with (persistent) contrastive divergence."""

    def __init__(self, n_vis, n_hid, k=1, lr=0.05, momentum=0.5, decay=2e-4,
                 persistent=False, device='cpu'):
        self.n_vis, self.n_hid, self.k = n_vis, n_hid, k
        self.lr, self.momentum, self.decay = lr, momentum, decay
        self.persistent = persistent
        self.W = torch.randn(n_vis, n_hid, device=device) * 0.01
        self.a = torch.zeros(n_vis, device=device)
        self.b = torch.zeros(n_hid, device=device)
        self.vW = torch.zeros_like(self.W)
        self.va = torch.zeros_like(self.a)
        self.vb = torch.zeros_like(self.b)
        self.chain = None

    def prob_h(self, v):
        return torch.sigmoid(v @ self.W + self.b)

    def prob_v(self, h):
        return torch.sigmoid(h @ self.W.t() + self.a)

    def gibbs(self, v, steps):
        for _ in range(steps):
            h = torch.bernoulli(self.prob_h(v))
            v = torch.bernoulli(self.prob_v(h))
        return v

    def free_energy(self, v):
        return -(v @ self.a) - F.softplus(v @ self.W + self.b).sum(1)

    def cd(self, v0):
        """One update. Positive minus negative statistics, momentum, weight decay."""
        start = self.chain if self.persistent and self.chain is not None else v0
        vk = self.gibbs(start, self.k)
        if self.persistent:
            self.chain = vk
        h0, hk = self.prob_h(v0), self.prob_h(vk)

        n = v0.size(0)
        dW = (v0.t() @ h0 - vk.t() @ hk) / n
        da = (v0 - vk).mean(0)
        db = (h0 - hk).mean(0)

        self.vW = self.momentum * self.vW + self.lr * (dW - self.decay * self.W)
        self.va = self.momentum * self.va + self.lr * da
        self.vb = self.momentum * self.vb + self.lr * db
        self.W += self.vW
        self.a += self.va
        self.b += self.vb
        return vk

    def fit(self, data, epochs=10, batch_size=64):
        for ep in range(epochs):
            if ep == 5:
                self.momentum = 0.9
            bar = tqdm(data[torch.randperm(len(data))].split(batch_size), desc='epoch %d' % ep)
            for v in bar:
                self.cd(v)
                bar.set_postfix(err='%.4f' % self.recon_error(v))
        return self

    def fit_autograd(self, data, epochs=10, batch_size=64):
        # the same thing, but the gradient comes from the free energies
        params = [p.requires_grad_() for p in (self.W, self.a, self.b)]
        opt = torch.optim.SGD(params, lr=self.lr, momentum=self.momentum)
        for ep in range(epochs):
            total = 0.
            for v in data[torch.randperm(len(data))].split(batch_size):
                with torch.no_grad():
                    vk = self.gibbs(v, self.k)
                cost = self.free_energy(v).mean() - self.free_energy(vk).mean()
                opt.zero_grad()
                cost.backward()
                opt.step()
                total += cost.item()
            print('epoch %d  free energy gap %.3f' % (ep, total))

    def recon_error(self, v):
        # only to watch; CD does not descend on this
        return (v - self.prob_v(self.prob_h(v))).pow(2).mean().item()
