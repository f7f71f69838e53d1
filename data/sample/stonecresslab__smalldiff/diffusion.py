import torch
import torch.nn.functional as F


def at(a, t, like):
    return a[t].float().view(-1, *[1] * (like.dim() - 1))


class GaussianDiffusion:
    """The process only. The network is an argument, as in `eps = model(x_t, t)`."""

    def __init__(self, T=1000, schedule="cosine", objective="eps", loss_type="l2", min_snr=None, device="cpu"):
        if schedule == "linear":
            betas = torch.linspace(.1 / T, 20. / T, T, dtype=torch.float64, device=device)
        else:
            f = torch.linspace(0, 1, T + 1, dtype=torch.float64, device=device)
            f = torch.cos((f + 8e-3) / 1.008 * torch.pi / 2) ** 2
            betas = (1 - f[1:] / f[:-1]).clamp(max=.999)
        self.T, self.objective, self.loss_type, self.min_snr = T, objective, loss_type, min_snr
        self.betas = betas
        self.alphas = 1 - betas
        self.abar = torch.cumprod(self.alphas, 0)
        self.abar_prev = torch.cat([self.abar.new_ones(1), self.abar[:-1]])
        self.post_var = betas * (1 - self.abar_prev) / (1 - self.abar)

    def q_sample(self, x0, t, noise):
        return at(self.abar.sqrt(), t, x0) * x0 + at((1 - self.abar).sqrt(), t, x0) * noise

    def snr(self, t):
        return self.abar[t] / (1 - self.abar[t])

    def to_x0(self, x_t, t, out):
        if self.objective == "x0":
            return out
        a, s = at(self.abar.sqrt(), t, x_t), at((1 - self.abar).sqrt(), t, x_t)
        return (x_t - s * out) / a if self.objective == "eps" else a * x_t - s * out

    def target(self, x0, t, noise):
        if self.objective == "eps":
            return noise
        if self.objective == "x0":
            return x0
        return at(self.abar.sqrt(), t, x0) * noise - at((1 - self.abar).sqrt(), t, x0) * x0

    def p_losses(self, model, x0, t, noise=None):
        noise = torch.randn_like(x0) if noise is None else noise
        out = model(self.q_sample(x0, t, noise), t)
        target = self.target(x0, t, noise)
        if self.loss_type == "l1":
            loss = F.l1_loss(out, target, reduction="none")
        elif self.loss_type == "l2":
            loss = F.mse_loss(out, target, reduction="none")
        elif self.loss_type == "huber":
            loss = F.smooth_l1_loss(out, target, reduction="none")
        else:
            raise ValueError(self.loss_type)
        loss = loss.flatten(1).mean(1)
        if self.min_snr is not None:
            w = self.snr(t).clamp(max=self.min_snr) / self.snr(t)
            loss = loss * w.float()
        return loss

    def training_losses(self, model, x0):
        t = torch.randint(0, self.T, (x0.size(0),), device=x0.device)
        return self.p_losses(model, x0, t)

    def vlb_term(self, model, x0, t):
        """KL(q(x_{t-1}|x_t,x0) || p(x_{t-1}|x_t)) in nats, t > 0."""
        x_t = self.q_sample(x0, t, torch.randn_like(x0))
        x0_hat = self.to_x0(x_t, t, model(x_t, t))
        c = at(self.abar_prev.sqrt() * self.betas / (1 - self.abar), t, x0)
        return (c ** 2 * (x0 - x0_hat) ** 2 / (2 * at(self.post_var, t, x0))).flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, model, shape, device):
        x = torch.randn(shape, device=device)
        for i in reversed(range(self.T)):
            t = torch.full((shape[0],), i, device=device)
            x0 = self.to_x0(x, t, model(x, t)).clamp(-1, 1)
            mean = (at(self.abar_prev.sqrt() * self.betas / (1 - self.abar), t, x) * x0
                    + at(self.alphas.sqrt() * (1 - self.abar_prev) / (1 - self.abar), t, x) * x)
            x = mean + at(self.post_var.sqrt(), t, x) * torch.randn_like(x) if i else mean
        return x
