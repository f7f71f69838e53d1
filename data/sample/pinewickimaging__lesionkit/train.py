import os
import json
import argparse

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import networks
from metrics import hard_dice, volume_error


class SliceDataset(Dataset):
    """One .npz a slice: img (4, H, W) float16, mask (H, W) uint8."""

    def __init__(self, folder, augment=False):
        self.files = sorted(os.path.join(folder, f) for f in os.listdir(folder))
        self.augment = augment

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        with np.load(self.files[i]) as z:
            img, mask = z["img"].astype(np.float32), z["mask"].astype(np.int64)
        if self.augment and np.random.rand() < 0.5:
            img, mask = img[..., ::-1].copy(), mask[..., ::-1].copy()
        return torch.from_numpy(img), torch.from_numpy(mask)


def validate(net, loader, device):
    net.eval()
    dices, ml, val_loss = [], [], 0.0
    with torch.no_grad():
        for img, mask in loader:
            img, mask = img.to(device), mask.to(device)
            outs = net(img)
            val_loss += net.loss(outs, mask).item()
            for p, t in zip(outs[-1].argmax(1).cpu().numpy(), mask.cpu().numpy()):
                dices.append(hard_dice(p == 1, t == 1))
                ml.append(volume_error(p == 1, t == 1))
    print("     volume error %.2f ml" % np.mean(ml))
    return val_loss / len(loader), float(np.mean(dices))


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("data")
    ap.add_argument("--net", default="LesionNet", choices=[n for n in dir(networks) if n.endswith("Net")])
    ap.add_argument("--out", default="exp")
    ap.add_argument("--epochs", type=int, default=200)
    ap.add_argument("--bs", type=int, default=16)
    ap.add_argument("--lr", type=float, default=3e-4)
    ap.add_argument("--amp", action="store_true")
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    train_set = SliceDataset(os.path.join(args.data, "train"), augment=True)
    val_set = SliceDataset(os.path.join(args.data, "val"))
    train_loader = DataLoader(train_set, args.bs, shuffle=True, num_workers=6, pin_memory=True)
    val_loader = DataLoader(val_set, args.bs, num_workers=2)

    net = getattr(networks, args.net)().to(device)
    print(args.net, sum(p.numel() for p in net.parameters()), "parameters")
    opt = torch.optim.Adam(net.parameters(), lr=args.lr)
    sched = torch.optim.lr_scheduler.PolynomialLR(opt, args.epochs, power=0.9)
    scaler = torch.cuda.amp.GradScaler(enabled=args.amp)
    best, log = 0, []

    for epoch in range(args.epochs):
        net.train()
        epoch_loss = 0.0
        for img, mask in train_loader:
            img, mask = img.to(device, non_blocking=True), mask.to(device, non_blocking=True)
            opt.zero_grad(set_to_none=True)
            with torch.cuda.amp.autocast(enabled=args.amp):
                loss = net.loss(net(img), mask)
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
            epoch_loss += loss.item() * img.size(0)
        sched.step()
        val_loss, val_dice = validate(net, val_loader, device)
        log.append(dict(epoch=epoch, loss=epoch_loss / len(train_set), val_loss=val_loss, dice=val_dice))
        with open(os.path.join(args.out, "log.json"), "w") as f:
            json.dump(log, f, indent=1)
        if val_dice > best:
            best = val_dice
            torch.save(net.state_dict(), os.path.join(args.out, "best.pt"))
        print("%3d  loss %.4f  val %.4f  dice %.4f" % (epoch, log[-1]["loss"], val_loss, val_dice))
