import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class AverageMeter(object):
    """Remembers the last value and the mean of all."""

    def __init__(self):
        self.val = self.avg = self.sum = 0.
        self.n = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.n += n
        self.avg = self.sum / self.n


def accuracy(output, target, topk=(1,)):
    _, pred = output.topk(max(topk), 1)
    hit = pred.eq(target.view(-1, 1))
    return [hit[:, :k].any(1).float().mean().item() * 100. for k in topk]


def mixup(x, y, alpha=0.2):
    lam = np.random.beta(alpha, alpha) if alpha > 0 else 1.
    perm = torch.randperm(x.size(0), device=x.device)
    return lam * x + (1 - lam) * x[perm], y, y[perm], lam


def mixup_criterion(criterion, pred, y_a, y_b, lam):
    # did not help on the sheets, kept for the record
    return lam * criterion(pred, y_a) + (1 - lam) * criterion(pred, y_b)


def get_loaders(root, batch_size, workers=4):
    norm = transforms.Normalize((.71, .68, .58), (.21, .20, .22))
    train_tf = transforms.Compose([transforms.RandomCrop(64, padding=6),
                                   transforms.RandomHorizontalFlip(),
                                   transforms.ToTensor(), norm])
    test_tf = transforms.Compose([transforms.CenterCrop(64), transforms.ToTensor(), norm])
    train = datasets.ImageFolder(root + '/train', train_tf)
    test = datasets.ImageFolder(root + '/test', test_tf)
    return (DataLoader(train, batch_size, shuffle=True, num_workers=workers, drop_last=True),
            DataLoader(test, batch_size, num_workers=workers))
