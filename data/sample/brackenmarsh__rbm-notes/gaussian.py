import torch
import torch.nn.functional as F

from rbm import RBM


class GaussianRBM(RBM):
    """Real-valued visibles with a variance of their own. Learnt by PCD on the free energy."""

    def __init__(self, *args, **kwargs):
        super(GaussianRBM, self).__init__(*args, **kwargs)
        self.log_var = torch.zeros_like(self.a)

    def prob_h(self, v):
        return torch.sigmoid((v / self.log_var.exp()) @ self.W + self.b)

    def prob_v(self, h):
        return h @ self.W.t() + self.a

    def gibbs(self, v, steps):
        sd = (0.5 * self.log_var).exp()
        for _ in range(steps):
            h = torch.bernoulli(self.prob_h(v))
            mean = self.prob_v(h)
            v = mean + sd * torch.randn_like(mean)
        return v

    def free_energy(self, v):
        quad = ((v - self.a).pow(2) / (2 * self.log_var.exp())).sum(1)
        return quad - F.softplus((v / self.log_var.exp()) @ self.W + self.b).sum(1)

    def objective(self, v, vk, sparsity=0.05):
        gap = self.free_energy(v).mean() - self.free_energy(vk).mean()
        rho = self.prob_h(v).mean(0)
        sparse = (sparsity * torch.log(sparsity / rho)
                  + (1 - sparsity) * torch.log((1 - sparsity) / (1 - rho))).sum()
        return gap + 0.1 * sparse + self.decay * self.W.pow(2).sum()

    def fit(self, data, epochs=20, batch_size=100):
        params = [p.requires_grad_() for p in (self.W, self.a, self.b, self.log_var)]
        opt = torch.optim.Adam(params, lr=self.lr)
        self.chain = torch.randn_like(data[:batch_size])
        for ep in range(epochs):
            for v in data[torch.randperm(len(data))].split(batch_size):
                with torch.no_grad():
                    self.chain = self.gibbs(self.chain, self.k)
                loss = self.objective(v, self.chain)
                opt.zero_grad()
                loss.backward()
                opt.step()
            print(ep, 'loss', loss.item())
        return self
