import torch.nn as nn
from torch.nn.utils import spectral_norm as SN


class Generator(nn.Module):
    def __init__(self, nz, ngf, nc=3):
        super(Generator, self).__init__()

        def up(i, o):
            return [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(True)]

        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 8, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 8), nn.ReLU(True),
            *up(ngf * 8, ngf * 4), *up(ngf * 4, ngf * 2), *up(ngf * 2, ngf),
            nn.Conv2d(ngf, nc, 3, 1, 1), nn.Tanh())

    def forward(self, z):
        return self.main(z)


class Critic(nn.Module):
    def __init__(self, ndf, nc=3):
        super(Critic, self).__init__()
        chans = [nc, ndf, ndf * 2, ndf * 4]
        self.blocks = nn.ModuleList(
            nn.Sequential(SN(nn.Conv2d(i, o, 4, 2, 1)), nn.LeakyReLU(0.2, True))
            for i, o in zip(chans, chans[1:]))
        self.last = SN(nn.Conv2d(ndf * 4, 1, 4))

    def forward(self, x, return_feats=False):
        feats = []
        for b in self.blocks:
            x = b(x)
            feats.append(x)
        score = self.last(x).view(-1)
        return (score, feats) if return_feats else score
