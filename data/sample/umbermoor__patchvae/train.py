import argparse
import copy
from itertools import count
from pathlib import Path

import torch
from torch.optim import AdamW
from torch.utils.data import DataLoader
from torchvision import transforms as T, datasets, utils
from tqdm import tqdm

from patchvae.model import PatchVAE, PatchVQ


def main(args):
    results = Path(args.results)
    results.mkdir(exist_ok = True, parents = True)

    tf = T.Compose([T.RandomResizedCrop(64, scale = (.6, 1.)), T.ToTensor()])
    dl = DataLoader(datasets.ImageFolder(args.folder, tf), args.batch_size,
                    shuffle = True, num_workers = 4, drop_last = True)
    batches = (x for _ in count() for x, _ in dl)

    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    model = PatchVQ() if args.vq else PatchVAE(beta = args.beta, recon = args.recon)
    model.to(device)
    ema = copy.deepcopy(model).eval()
    opt = AdamW(model.parameters(), lr = args.lr)

    with tqdm(total = args.steps) as pbar:
        for step in range(args.steps):
            total = 0.
            for _ in range(args.accum):
                loss, logs = model(next(batches).to(device))
                loss = loss / args.accum
                total += loss.item()
                loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            opt.step()
            opt.zero_grad()
            with torch.no_grad():
                for a, b in zip(ema.parameters(), model.parameters()):
                    a.lerp_(b, 0.005)

            pbar.set_description(f'loss: {total:.3f} ' + ' '.join(f'{k}: {v:.3f}' for k, v in logs.items()))
            pbar.update(1)

            if step % args.save_every == 0:
                torch.save(dict(model = model.state_dict(), ema = ema.state_dict(), step = step),
                           str(results / f'model-{step}.pt'))
                if not args.vq:
                    utils.save_image(ema.sample(36), str(results / f'sample-{step}.png'), nrow = 6)


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('folder')
    p.add_argument('--results', default = './results')
    p.add_argument('--vq', action = 'store_true')
    p.add_argument('--recon', default = 'l1', choices = ['l1', 'l2', 'bce'], help = 'reconstruction loss')
    p.add_argument('--beta', type = float, default = 0.5)
    p.add_argument('--lr', type = float, default = 2e-4)
    p.add_argument('--batch_size', type = int, default = 32)
    p.add_argument('--accum', type = int, default = 2)
    p.add_argument('--steps', type = int, default = 100_000)
    p.add_argument('--save_every', type = int, default = 2000)
    main(p.parse_args())
