"""Self-supervised warm-up: guess by how many quarter turns a crop was rotated."""
import argparse

import torch
import torch.nn as nn
from torch.utils.tensorboard import SummaryWriter

from nets.leaf import LeafNet, Block
from utils import get_loaders

parser = argparse.ArgumentParser()
parser.add_argument('--data', default='./sheets')
parser.add_argument('--epochs', type=int, default=30)
parser.add_argument('--lr', type=float, default=0.1)
parser.add_argument('--log_every', type=int, default=25)
args = parser.parse_args()

device = torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
trainloader, testloader = get_loaders(args.data, 256)

model = LeafNet(Block, [2, 2, 2], 4).to(device)
criterion = nn.CrossEntropyLoss().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, nesterov=True)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [15, 25], gamma=0.1)
writer = SummaryWriter('runs/rot')
step = 0


def rotate(x):
    """Four copies of the batch, each turned a little further."""
    turns = [torch.rot90(x, k, (2, 3)) for k in range(4)]
    y = torch.arange(4).repeat_interleave(x.size(0))
    return torch.cat(turns), y


def train(epoch):
    global step
    model.train()
    running_loss = 0.0
    for i, (x, _) in enumerate(trainloader):
        x, y = rotate(x)
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        step += 1
        if i % args.log_every == args.log_every - 1:
            writer.add_scalar('rot/loss', running_loss / args.log_every, step)
            print(epoch, i, running_loss / args.log_every)
            running_loss = 0.0


@torch.no_grad()
def test():
    model.eval()
    right = total = 0
    for x, _ in testloader:
        x, y = rotate(x)
        pred = model(x.to(device)).argmax(1).cpu()
        right += (pred == y).sum().item()
        total += len(y)
    return 100. * right / total


for epoch in range(args.epochs):
    train(epoch)
    writer.add_scalar('rot/acc', test(), epoch)
    scheduler.step()

torch.save(model.state_dict(), 'pretrained.pth')
