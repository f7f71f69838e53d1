import torch
import torch.nn as nn

__all__ = ["ConvUnit", "UNetBase"]


class ConvUnit(nn.Module):
    """conv - instance norm - leaky relu, twice"""

    def __init__(self, in_ch, out_ch):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_ch, out_ch, 3, padding=1),
            nn.InstanceNorm2d(out_ch, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv2d(out_ch, out_ch, 3, padding=1),
            nn.InstanceNorm2d(out_ch, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        )

    def forward(self, x):
        return self.body(x)


class UNetBase(nn.Module):
    """The network all our models share. Subclasses say what they are trained on."""

    def __init__(self, in_ch=4, n_classes=2, width=24, levels=4):
        super().__init__()
        self.n_classes = n_classes
        widths = [width * 2 ** i for i in range(levels)]
        self.down = nn.ModuleList()
        for w in widths:
            self.down.append(ConvUnit(in_ch, w))
            in_ch = w
        self.pool = nn.MaxPool2d(2)
        self.up, self.merge, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for w in reversed(widths[:-1]):
            self.up.append(nn.ConvTranspose2d(w * 2, w, 2, stride=2))
            self.merge.append(ConvUnit(w * 2, w))
            self.heads.append(nn.Conv2d(w, n_classes, 1))

    def forward(self, x):
        skips = []
        for i, unit in enumerate(self.down):
            x = unit(self.pool(x) if i else x)
            skips.append(x)
        outs = []
        for up, merge, head, skip in zip(self.up, self.merge, self.heads, skips[-2::-1]):
            x = merge(torch.cat([up(x), skip], dim=1))
            outs.append(head(x))
        return outs  # coarse to fine

    def predict(self, x):
        self.eval()
        with torch.no_grad():
            return self(x)[-1].argmax(1)

    def loss(self, outs, mask):
        raise NotImplementedError
