"""Halve the number of steps: the student does in one step what the teacher does in two."""
import copy
import sys

import torch

from diffusion import GaussianDiffusion
from train import infinite
from unet import UNet


def ddim(diff, x, t, s, out):
    x0 = diff.to_x0(x, t, out).clamp(-1, 1)
    a, b = diff.abar[t].float().view(-1, 1, 1, 1), diff.abar[s].float().view(-1, 1, 1, 1)
    eps = (x - a.sqrt() * x0) / (1 - a).sqrt()
    return b.sqrt() * x0 + (1 - b).sqrt() * eps


class Distiller:
    def __init__(self, teacher, diff, lr=1e-4):
        self.teacher = teacher.eval()
        self.student = copy.deepcopy(teacher).train()
        self.diff, self.opt = diff, torch.optim.Adam(self.student.parameters(), lr)

    def loss(self, x0, stride):
        t = stride + stride * torch.randint(0, self.diff.T // stride - 1, (len(x0),), device=x0.device)
        x_t = self.diff.q_sample(x0, t, torch.randn_like(x0))
        mid = t - stride // 2
        with torch.no_grad():
            goal = ddim(self.diff, x_t, t, mid, self.teacher(x_t, t))
            goal = ddim(self.diff, goal, mid, t - stride, self.teacher(goal, mid))
        got = ddim(self.diff, x_t, t, t - stride, self.student(x_t, t))
        snr = self.diff.snr(t).float().clamp(1., 20.).view(-1, 1, 1, 1)
        return (snr * (got - goal) ** 2).mean()

    def run(self, data, iters, stride):
        for i in range(iters):
            loss = self.loss(next(data), stride)
            self.opt.zero_grad(set_to_none=True)
            loss.backward()
            self.opt.step()
            if not i % 100:
                print(stride, i, loss.item())
        return self.student


if __name__ == "__main__":
    path, stride = sys.argv[1], int(sys.argv[2])
    net = UNet().cuda()
    net.load_state_dict(torch.load(path)["ema"])
    data = infinite(torch.load("fashion-batches.pt"))
    net = Distiller(net, GaussianDiffusion(device="cuda")).run(data, 5000, stride)
    torch.save(net.state_dict(), "student-%d.pt" % (1000 // stride))
