import torch.nn as nn
import torch.nn.functional as F

__all__ = ['LeafNet', 'leafnet18']


class Block(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super(Block, self).__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = nn.Sequential()
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(
                nn.Conv2d(cin, cout, 1, stride=stride, bias=False),
                nn.BatchNorm2d(cout),
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class LeafNet(nn.Module):
    def __init__(self, block, depths, n_out, width=32):
        super(LeafNet, self).__init__()
        self.cin = width
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True))
        self.stage1 = self._make_stage(block, width, depths[0], 1)
        self.stage2 = self._make_stage(block, width * 2, depths[1], 2)
        self.stage3 = self._make_stage(block, width * 4, depths[2], 2)
        self.feat_dim = width * 4
        self.fc = nn.Linear(self.feat_dim, n_out)

    def _make_stage(self, block, cout, depth, stride):
        layers = []
        for s in [stride] + [1] * (depth - 1):
            layers.append(block(self.cin, cout, s))
            self.cin = cout
        return nn.Sequential(*layers)

    def forward(self, x, return_feat=False):
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        feat = F.adaptive_avg_pool2d(x, 1).flatten(1)
        out = self.fc(feat)
        return (out, feat) if return_feat else out


def leafnet18(n_out, **kw):
    return LeafNet(Block, [2, 3, 3], n_out, **kw)
