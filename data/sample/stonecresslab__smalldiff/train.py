import argparse
import contextlib
import copy
import sys

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms as T, utils

from diffusion import GaussianDiffusion
from timesteps import AdaptiveSteps
from unet import UNet


def infinite(loader):
    while True:
        yield from (x for x, _ in loader)


@torch.no_grad()
def ema_update(ema, net, mu=.999):
    for p, q in zip(ema.parameters(), net.parameters()):
        p.mul_(mu).add_(q, alpha=1 - mu)


@torch.no_grad()
def bits_per_dim(diff, net, x):
    total = 0.
    for i in range(1, diff.T):
        total = total + diff.vlb_term(net, x, torch.full((len(x),), i, device=x.device))
    return (total / x[0].numel() / torch.log(torch.tensor(2.))).mean().item()


@contextlib.contextmanager
def saving(path, **what):
    """Ctrl-C is fine, the weights are kept."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    finally:
        torch.save({k: v.state_dict() for k, v in what.items()}, path)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--steps", type=int, default=50_000)
    ap.add_argument("--loss", default="l2", choices=["l1", "l2", "huber"])
    ap.add_argument("--adaptive", action="store_true")
    ap.add_argument("--consistency", type=float, default=0.)
    ap.add_argument("--ckpt", default="smalldiff.pt")
    args = ap.parse_args()

    dev = "cuda" if torch.cuda.is_available() else "cpu"
    tf = T.Compose([T.Pad(2), T.ToTensor(), T.Normalize(.5, .5)])
    data = infinite(DataLoader(datasets.FashionMNIST("data", download=True, transform=tf), 128, True))
    net = UNet().to(dev)
    ema = copy.deepcopy(net)
    diff = GaussianDiffusion(loss_type=args.loss, device=dev)
    steps = AdaptiveSteps(diff.T, floor=.2 if args.adaptive else 1.)
    opt = torch.optim.AdamW(net.parameters(), 2e-4)

    with saving(args.ckpt, net=net, ema=ema, opt=opt):
        for it, x in zip(range(args.steps), data):
            x = x.to(dev)
            t, w = steps.draw(len(x))
            t, w = t.to(dev), w.to(dev)
            losses = diff.p_losses(net, x, t)
            steps.tell(t, losses)
            loss = (w * losses).mean()
            if args.consistency:
                # flipped in, flipped out
                x_t = diff.q_sample(x, t, torch.randn_like(x))
                loss = loss + args.consistency * (net(x_t, t) - net(x_t.flip(-1), t).flip(-1)).pow(2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            ema_update(ema, net)
            if it % 500 == 0:
                print(f"{it:6d}  {loss.item():.4f}")

    try:
        import wandb
    except ImportError:
        wandb = None
    else:
        for i, img in enumerate(diff.sample(ema, (16, 1, 32, 32), dev)):
            wandb.log({f"sample/{i}": wandb.Image(img)})
