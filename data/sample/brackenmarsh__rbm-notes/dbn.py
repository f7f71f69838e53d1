"""Stack of RBMs, then a softmax layer and plain backprop."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from rbm import RBM


class DBN(nn.Module):
    def __init__(self, sizes, n_classes, **rbm_args):
        super(DBN, self).__init__()
        self.rbms = [RBM(i, o, **rbm_args) for i, o in zip(sizes, sizes[1:])]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(sizes, sizes[1:]))
        self.out = nn.Linear(sizes[-1], n_classes)

    def forward(self, v):
        for layer in self.layers:
            v = torch.sigmoid(layer(v))
        return self.out(v)

    def pretrain(self, data, epochs=10):
        v = data
        for i, (rbm, layer) in enumerate(zip(self.rbms, self.layers)):
            print('--- layer', i, rbm.n_vis, 'x', rbm.n_hid)
            rbm.fit(v, epochs=epochs)
            with torch.no_grad():
                layer.weight.copy_(rbm.W.t())
                layer.bias.copy_(rbm.b)
                v = rbm.prob_h(v)

    def finetune(self, loader, epochs=30, lr=0.01, l1=1e-6):
        opt = torch.optim.SGD(self.parameters(), lr=lr, momentum=0.9)
        for ep in range(epochs):
            hits = seen = 0
            for x, y in loader:
                logits = self(x)
                loss = F.cross_entropy(logits, y)
                for layer in self.layers:
                    loss = loss + l1 * layer.weight.abs().sum()
                opt.zero_grad()
                loss.backward()
                opt.step()
                hits += (logits.argmax(1) == y).sum().item()
                seen += len(y)
            print('epoch %d train acc %.2f%%' % (ep, 100. * hits / seen))
