import argparse

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import MNIST

from dbn import DBN
from gaussian import GaussianRBM
from rbm import RBM

p = argparse.ArgumentParser()
p.add_argument('what', choices=['rbm', 'pcd', 'gauss', 'dbn'])
p.add_argument('--hidden', type=int, nargs='+', default=[500])
p.add_argument('--epochs', type=int, default=15)
a = p.parse_args()
train, test = (MNIST('data', train=t, download=True) for t in (True, False))
x, xt = (d.data.float().div(255).view(-1, 784) for d in (train, test))
y, yt = train.targets, test.targets

if a.what in ('rbm', 'pcd'):
    m = RBM(784, a.hidden[0], persistent=a.what == 'pcd')
    m.fit((x > .5).float(), a.epochs)
    torch.save((m.W, m.a, m.b), '%s.pt' % a.what)
elif a.what == 'gauss':
    GaussianRBM(784, a.hidden[0], lr=1e-3).fit((x - x.mean(0)) / (x.std(0) + .1), a.epochs)
else:
    net = DBN([784] + a.hidden, 10, k=1)
    net.pretrain((x > .5).float(), a.epochs)
    net.finetune(DataLoader(TensorDataset(x, y), 64, shuffle=True))
    wrong = 0
    for xb, yb in zip(xt.split(500), yt.split(500)):
        wrong += (net(xb).argmax(1) != yb).sum().item()
    print('test error %.2f%%' % (100. * wrong / len(yt)))
