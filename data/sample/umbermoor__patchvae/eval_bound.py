# lower bound on log p(x) in bits/dim, 64 samples of z an image
# usage: python eval_bound.py results/model-98000.pt folder/
import math
import sys

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms as T

from patchvae.latent import DiagGauss
from patchvae.model import PatchVAE

K = 64
SIGMA = 0.1
ckpt, folder = sys.argv[1:3]
dev = 'cuda' if torch.cuda.is_available() else 'cpu'

vae = PatchVAE(recon='l2').to(dev).eval()
vae.load_state_dict(torch.load(ckpt, map_location=dev)['ema'])
loader = DataLoader(datasets.ImageFolder(folder, T.Compose([T.CenterCrop(64), T.ToTensor()])), 16)

bits, seen = 0., 0
torch.set_grad_enabled(False)
for x, _ in loader:
    x = x.to(dev)
    q = vae.encode(x)
    rec = 0.
    for _ in range(K):
        p = DiagGauss(vae.decode(q.rsample()), torch.full_like(x, 2 * math.log(SIGMA)))
        rec = rec + p.nll(x).flatten(1).sum(1) / K
    kl = q.kl().flatten(1).sum(1)
    elbo = -(rec + kl)
    bits -= (elbo / (x[0].numel() * math.log(2))).sum().item()
    seen += len(x)

print('<= %.3f bits/dim on %d images' % (bits / seen, seen))

for name, p in sorted(vae.named_parameters()):
    print('%-28s %9d %.4f' % (name, p.numel(), p.std().item()))
