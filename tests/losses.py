"""Code of two repositories, with a loss in each place."""

TRAIN = (
    "import torch.nn.functional as F\n"
    "def loss_of(out, y, w):\n"
    "    return F.l1_loss(out, y) + w * F.mse_loss(out, y)\n"
    "def helper(path):\n"
    "    return open(path)\n"
    "for x, y in loader:\n"
    "    loss = F.l1_loss(net(x), y) + 0.1 * net.weight.pow(2).sum()\n"
)
MODEL = (
    "import torch.nn as nn\n"
    "from base import Net\n"
    "class Task(Net):\n"
    "    def loss(self, x, y):\n"
    "        return ((self.forward(x) - y) ** 2).mean() + self.penalty()\n"
    "    def show(self):\n"
    "        return repr(self)\n"
)
BASE = (
    "import torch.nn as nn\n"
    "class Net(nn.Module):\n"
    "    def forward(self, x):\n"
    "        return self.layer(x)\n"
)
