import torch
import torch.nn as nn


class Res(nn.Module):
    def __init__(self, i, o, emb):
        super().__init__()
        self.a = nn.Sequential(nn.GroupNorm(8, i), nn.SiLU(), nn.Conv2d(i, o, 3, 1, 1))
        self.e = nn.Linear(emb, o)
        self.b = nn.Sequential(nn.GroupNorm(8, o), nn.SiLU(), nn.Conv2d(o, o, 3, 1, 1))
        self.skip = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x, emb):
        return self.b(self.a(x) + self.e(emb)[:, :, None, None]) + self.skip(x)


class UNet(nn.Module):
    def __init__(self, c=1, dim=64, mults=(1, 2, 2)):
        super().__init__()
        self.dim = dim
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 4), nn.SiLU(), nn.Linear(dim * 4, dim * 4))
        ch = [dim * m for m in mults]
        self.inp = nn.Conv2d(c, dim, 3, 1, 1)
        self.downs = nn.ModuleList([Res(i, o, dim * 4) for i, o in zip([dim] + ch, ch)])
        self.mid = Res(ch[-1], ch[-1], dim * 4)
        self.ups = nn.ModuleList([Res(2 * o, i, dim * 4) for i, o in zip([dim] + ch, ch)][::-1])
        self.out = nn.Conv2d(dim, c, 1)

    def forward(self, x, t):
        f = 10000. ** (-torch.arange(0, self.dim, 2, device=t.device) / self.dim)
        e = t[:, None].float() * f
        e = self.mlp(torch.cat([e.cos(), e.sin()], -1))
        h, skips = self.inp(x), []
        for i, d in enumerate(self.downs):
            h = d(h, e)
            skips.append(h)
            if i < len(self.downs) - 1:
                h = nn.functional.avg_pool2d(h, 2)
        h = self.mid(h, e)
        for i, u in enumerate(self.ups):
            h = u(torch.cat([h, skips.pop()], 1), e)
            if i < len(self.ups) - 1:
                h = nn.functional.interpolate(h, scale_factor=2)
        return self.out(h)
