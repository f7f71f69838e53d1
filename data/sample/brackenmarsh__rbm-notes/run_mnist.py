import argparse

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import MNIST

from dbn import DBN
from gaussian import GaussianRBM
from rbm import RBM


def load(train=True, n=None):
    d = MNIST('data', train=train, download=True)
    x = d.data[:n].float().div(255).view(-1, 784)
    return x, d.targets[:n]


def cli():
    p = argparse.ArgumentParser()
    p.add_argument('what', choices=['rbm', 'pcd', 'gauss', 'dbn'])
    p.add_argument('--hidden', type=int, nargs='+', default=[500])
    p.add_argument('--epochs', type=int, default=15)
    return p.parse_args()


a = cli()
x, y = load()

if a.what in ('rbm', 'pcd'):
    m = RBM(784, a.hidden[0], persistent=a.what == 'pcd')
    m.fit((x > .5).float(), a.epochs)
    m.save('%s.npz' % a.what)
elif a.what == 'gauss':
    GaussianRBM(784, a.hidden[0], lr=1e-3).fit((x - x.mean(0)) / (x.std(0) + .1), a.epochs)
else:
    net = DBN([784] + a.hidden, 10, k=1)
    net.pretrain((x > .5).float(), a.epochs)
    net.finetune(DataLoader(TensorDataset(x, y), 64, shuffle=True))
    xt, yt = load(False)
    wrong = 0
    for xb, yb in zip(xt.split(500), yt.split(500)):
        wrong += (net(xb).argmax(1) != yb).sum().item()
    print('test error %.2f%%' % (100. * wrong / len(yt)))
