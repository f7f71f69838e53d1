import os
import time
import logging

import torch
import torchvision.utils as vutils

from losses import get_losses, relativistic
from nets import Generator, Critic

log = logging.getLogger('ganbench')


class Trainer(object):

    def __init__(self, opt, loader):
        self.opt = opt
        self.loader = loader
        self.device = torch.device(opt.device)
        self.G = Generator(opt.nz, opt.ngf).to(self.device)
        self.D = Critic(opt.ndf).to(self.device)
        self.optG = torch.optim.Adam(self.G.parameters(), opt.lr, betas=(0., 0.9))
        self.optD = torch.optim.Adam(self.D.parameters(), opt.lr * opt.ttur, betas=(0., 0.9))
        self.d_loss, self.g_loss = get_losses(opt.loss)
        self.fixed = torch.randn(64, opt.nz, 1, 1, device=self.device)
        self.it = 0

    def gradient_penalty(self, real, fake):
        eps = torch.rand(real.size(0), 1, 1, 1, device=self.device)
        mix = (eps * real + (1 - eps) * fake).detach().requires_grad_(True)
        out = self.D(mix)
        grad = torch.autograd.grad(out, mix, torch.ones_like(out), create_graph=True, retain_graph=True)[0]
        norm = grad.view(grad.size(0), -1).norm(2, dim=1)
        return ((norm - 1) ** 2).mean()

    def d_step(self, real):
        with torch.no_grad():
            fake = self.G(torch.randn(real.size(0), self.opt.nz, 1, 1, device=self.device))
        self.optD.zero_grad()
        errD = self.d_loss(self.D(real), self.D(fake))
        if self.opt.gp > 0:
            gp = self.gradient_penalty(real, fake)
            errD = errD + self.opt.gp * gp
        errD.backward()
        self.optD.step()
        return errD.item()

    def g_step(self, n):
        self.optG.zero_grad()
        z = torch.randn(n, self.opt.nz, 1, 1, device=self.device)
        errG = self.g_loss(self.D(self.G(z)))
        errG.backward()
        self.optG.step()
        return errG.item()

    def train(self):
        t0 = time.time()
        for epoch in range(self.opt.epochs):
            for real, _ in self.loader:
                real = real.to(self.device)
                errD = self.d_step(real)
                if self.it % self.opt.n_critic == 0:
                    errG = self.g_step(real.size(0))
                if self.it % 100 == 0:
                    log.info('[%d|%d] Loss_D %.4f Loss_G %.4f  %.1f it/s', epoch, self.it, errD, errG,
                             self.it / (time.time() - t0))
                self.it += 1
            with torch.no_grad():
                out = os.path.join(self.opt.out, 'samples', 'fake_%03d.png' % epoch)
                vutils.save_image(self.G(self.fixed), out, normalize=True, nrow=8)
            torch.save({'G': self.G.state_dict(), 'D': self.D.state_dict(), 'it': self.it},
                       os.path.join(self.opt.out, 'last.pt'))


class RelativisticTrainer(Trainer):
    # needs the real scores for G as well

    def __init__(self, opt, loader):
        super(RelativisticTrainer, self).__init__(opt, loader)
        self.d_loss, self.g_loss = relativistic(opt.loss.split('-')[1])

    def g_step(self, n):
        real = next(iter(self.loader))[0][:n].to(self.device)
        self.optG.zero_grad()
        z = torch.randn(len(real), self.opt.nz, 1, 1, device=self.device)
        errG = self.g_loss(self.D(real).detach(), self.D(self.G(z)))
        errG.backward()
        self.optG.step()
        return errG.item()
