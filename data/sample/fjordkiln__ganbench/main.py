#!/usr/bin/env python
import argparse, logging, os, random

import torch
import torch.utils.data
import torchvision.datasets as dset
import torchvision.transforms as tfm

from trainer import Trainer, RelativisticTrainer

parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
parser.add_argument('--dataroot', required=True)
parser.add_argument('--out', default='out')
parser.add_argument('--loss', default='nonsat',
                    help='nonsat | bce | hinge | wgan | rel-hinge | rel-ls')
parser.add_argument('--gp', type=float, default=0., help='weight of the gradient penalty')
parser.add_argument('--n_critic', type=int, default=1)
parser.add_argument('--nz', type=int, default=128)
parser.add_argument('--ngf', type=int, default=64)
parser.add_argument('--ndf', type=int, default=64)
parser.add_argument('--lr', type=float, default=1e-4)
parser.add_argument('--ttur', type=float, default=4.)
parser.add_argument('--epochs', type=int, default=100)
parser.add_argument('--batch', type=int, default=64)
parser.add_argument('--seed', type=int, default=None)
parser.add_argument('--device', default='cuda')
opt = parser.parse_args()

logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
if opt.seed is None:
    opt.seed = random.randint(1, 10000)
print('Random Seed: ', opt.seed)
random.seed(opt.seed)
torch.manual_seed(opt.seed)
for folder in (opt.out, os.path.join(opt.out, 'samples')):
    try:
        os.makedirs(folder)
    except OSError:
        pass

data = dset.ImageFolder(opt.dataroot, tfm.Compose([
    tfm.Resize(32), tfm.CenterCrop(32), tfm.ToTensor(), tfm.Normalize((.5,) * 3, (.5,) * 3)]))
loader = torch.utils.data.DataLoader(data, opt.batch, shuffle=True, num_workers=4, drop_last=True)

cls = RelativisticTrainer if opt.loss.startswith('rel') else Trainer
cls(opt, loader).train()
