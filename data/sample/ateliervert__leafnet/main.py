'''Fine-tune LeafNet on the herbarium crops.'''
from __future__ import print_function

import argparse
import os
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torch.backends.cudnn as cudnn

from nets import *
from utils import AverageMeter, accuracy, get_loaders

parser = argparse.ArgumentParser(description='LeafNet fine-tuning')
parser.add_argument('--data', default='./sheets', metavar='DIR')
parser.add_argument('--init', default='', help='weights from pretrain.py')
parser.add_argument('--epochs', default=60, type=int)
parser.add_argument('-b', '--batch-size', default=128, type=int)
parser.add_argument('--lr', default=0.05, type=float)
parser.add_argument('--eps', default=0.1, type=float, help='label smoothing')
parser.add_argument('--w-center', default=0.01, type=float)
parser.add_argument('--evaluate', action='store_true')
args = parser.parse_args()

device = 'cuda' if torch.cuda.is_available() else 'cpu'
n_species = 113
best_acc, start_epoch = 0., 0

train_loader, test_loader = get_loaders(args.data, args.batch_size)

net = leafnet18(n_species)
if args.init:
    # the rotation head does not fit, hence strict=False
    net.load_state_dict(torch.load(args.init, map_location='cpu'), strict=False)
net = net.to(device)
if device == 'cuda':
    cudnn.benchmark = True

# one center a species, in the space of the pooled features
centers = nn.Parameter(torch.zeros(n_species, net.feat_dim, device=device))
optimizer = optim.SGD(list(net.parameters()) + [centers], lr=args.lr,
                      momentum=0.9, weight_decay=1e-4)
scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)


def evaluate(loader):
    net.eval()
    criterion = nn.CrossEntropyLoss()
    losses, top1 = AverageMeter(), AverageMeter()
    with torch.no_grad():
        for img, target in loader:
            img, target = img.to(device), target.to(device)
            out = net(img)
            loss = criterion(out, target)
            losses.update(loss.item(), img.size(0))
            top1.update(accuracy(out, target)[0], img.size(0))
    print('   test: loss %.4f  top1 %.2f' % (losses.avg, top1.avg))
    return top1.avg


if args.evaluate:
    evaluate(test_loader)
    sys.exit()

for epoch in range(start_epoch, args.epochs):
    tic = time.time()
    lr = optimizer.param_groups[0]['lr']
    net.train()
    losses, top1 = AverageMeter(), AverageMeter()
    for i, (img, target) in enumerate(train_loader):
        img, target = img.to(device), target.to(device)
        logits, feat = net(img, return_feat=True)

        # smoothing by hand, our torch is too old for label_smoothing=
        logp = F.log_softmax(logits, dim=1)
        with torch.no_grad():
            soft = torch.full_like(logp, args.eps / (n_species - 1))
            soft.scatter_(1, target.unsqueeze(1), 1. - args.eps)
        ce = -(soft * logp).sum(1).mean()
        center = (feat - centers[target]).pow(2).sum(1).mean()
        loss = ce + args.w_center * center

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        losses.update(loss.item(), img.size(0))
        top1.update(accuracy(logits, target)[0], img.size(0))
        if i % 50 == 0:
            print('[%d][%d/%d] lr %.4f loss %.4f (%.4f) top1 %.2f' % (
                epoch, i, len(train_loader), lr, losses.val, losses.avg, top1.avg))

    scheduler.step()
    acc = evaluate(test_loader)
    if acc > best_acc:
        # keep the centers too?
        if not os.path.isdir('checkpoint'):
            os.mkdir('checkpoint')
        torch.save({'net': net.state_dict(), 'acc': acc, 'epoch': epoch}, './checkpoint/best.pth')
        best_acc = acc
    print('epoch %d took %.1fs, best %.2f' % (epoch, time.time() - tic, best_acc))
