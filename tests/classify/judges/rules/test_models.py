"""Tables of cases: does some function of the class C, or the function f, define a network?"""

import pytest

from classify.judges.rules import rule
from classify.questions import Question
from mining.code import RepositoryCode

TORCH = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n\n"
TF = "import tensorflow as tf\n\n\n"

MODELS = {
    "weights in a dictionary": TF
    + """
class C(object):
    def __init__(self):
        self.vars = {}
        self.vars['w'] = np.zeros([3, 4])

    def apply(self, x):
        return dot(x, self.vars['w'])
""",
    "a module": TORCH
    + """
class C(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        return F.relu(self.fc(x))
""",
    "a base class from the repository": TORCH + "class Base(nn.Module):\n    pass\n\n\n"
    "class C(Base):\n    def forward(self, x):\n        return x * 2\n",
    "a module that wraps a network it is given": TORCH
    + """
class C(nn.Module):
    def __init__(self, denoise):
        super().__init__()
        self.denoise = denoise

    def forward(self, x):
        return F.mse_loss(self.denoise(x), x) + self.denoise(x).pow(2).mean()
""",
    "a loss with a network to train": TORCH
    + """
class C(nn.Module):
    def __init__(self):
        self.net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        self.loss = nn.BCELoss()

    def forward(self, a, b):
        return self.loss(self.net(a), b) + self.net(b).mean()
""",
    "Keras": "from tensorflow import keras\n\n\nclass C(keras.Model):\n"
    "    def call(self, x):\n        return self.dense(x)\n",
    "Lightning": "import pytorch_lightning as pl\n\n\nclass C(pl.LightningModule):\n"
    "    def forward(self, x):\n        return self.net(x)\n",
    "a graph": TF
    + """
class C(object):
    def build(self):
        self.x = tf.placeholder(tf.float32, [None, 3])
        w = tf.get_variable('w', [3, 4])
        self.y = tf.nn.relu(tf.matmul(self.x, w))
""",
    "a graph by helpers": TF
    + """
def linear(x, n):
    w = tf.get_variable('w', [x.shape[1], n])
    return tf.matmul(x, w)


class C(object):
    def discriminator(self, x):
        return tf.nn.sigmoid(linear(x, 1))
""",
    "a graph in Python 2": TF
    + """
class C:
    def build(self):
        print 'building'
        self.h = tf.layers.dense(self.x, 10)
""",
    "weights by hand": """
import numpy as np


class C:
    def __init__(self, n, m):
        self.W = np.random.randn(n, m)

    def hidden(self, v):
        return 1 / (1 + np.exp(-np.dot(v, self.W)))
""",
    "a matrix product by its operator": "import numpy as np\n\n\nclass C:\n"
    "    def __init__(self):\n        self.w = np.zeros((3, 3))\n\n"
    "    def out(self, x):\n        return x @ self.w\n",
    "layers in a list": """
class C(object):
    def build(self):
        h = self.inputs
        for layer in self.layers:
            h = layer(h)
        self.outputs = h
""",
    "the base class of networks, by the loss that they share": TF
    + """
class C(object):
    def loss(self, logits, y):
        x = tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y)
        return tf.reduce_mean(x)


class Net(C):
    def build(self, x):
        return tf.layers.dense(x, 3)
""",
    "a wrapper with a forward pass": TORCH
    + """
class Net(nn.Module):
    def forward(self, x):
        return x


class C(object):
    def initialize(self):
        self.net = Net()

    def forward(self, x):
        return self.net.forward(x)
""",
    "the repository's own base class of models": "class BaseModel(object):\n"
    "    def __init__(self, opt):\n        self.opt = opt\n\n\nclass C(BaseModel):\n"
    "    def optimize(self):\n        self.loss(self.net(self.x)).backward()\n\n"
    "    def __init__(self, opt):\n        self.net = opt.net\n",
}

NO_MODELS = {
    "a layer without parts, on which losses are built": TF
    + """
class C(tf.keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class Loss(C):
    def call(self, inputs):
        self.add_loss(self.compute_loss(inputs))
        return inputs
""",
    "a loss with a network that may not be called": TORCH
    + """
class Discriminator(nn.Module):
    def forward(self, x):
        return x


class C:
    def __init__(self):
        self.discriminator = Discriminator()

    def __call__(self, x):
        'Forbidden.'
        raise ValueError("use another one")
""",
    "a method that is given the network": "class C:\n    def forward(self, model, x):\n"
    "        return self.loss(model(x), x)\n",
    "the memory of an optimiser": TF + "class C:\n    def train(self, model):\n"
    "        self.momentum = [tf.Variable(p.initialized_value()) for p in model.params]\n",
    "a loss": TORCH
    + """
class C(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Softmax()

    def forward(self, x, y):
        return ((self.act(x) - y) ** 2).mean()
""".replace("return", "loss =")
    + "        return loss\n",
    "a loss by its base class": TORCH
    + "class C(nn.modules.loss._Loss):\n    def forward(self, x, y):\n        return x - y\n",
    "an autograd function": TORCH
    + "class C(torch.autograd.Function):\n    def forward(ctx, x):\n        return x * 2\n\n"
    "    def backward(ctx, g):\n        return g * 2\n",
    "a data set": TORCH + "class C(torch.utils.data.Dataset):\n    def __getitem__(self, i):\n"
    "        return torch.randn(3) @ self.w\n",
    "a runner which holds networks": TORCH
    + """
class Generator(nn.Module):
    def forward(self, x):
        return x


class C(object):
    def build_model(self):
        self.G = Generator()
        self.opt = torch.optim.Adam(self.G.parameters())

    def train(self):
        for x in self.loader:
            self.G(x).mean().backward()
            self.opt.step()
""",
    "a loss whose base is a module without layers": TORCH
    + """
class Base(nn.Module):
    def __init__(self):
        self.zero = nn.Parameter(torch.zeros(1))


class C(Base):
    def forward(self, a, b):
        loss = torch.max(a - b, self.zero).mean()
        return loss
""",
    "the base class of other things": "class C(object):\n    def loss(self, a, b):\n"
    "        return (a - b).pow(2).mean()\n\n\nclass D(C):\n    def size(self):\n"
    "        return 3\n",
    "a test": TF
    + "class C(tf.test.TestCase):\n    def test_layer(self):\n        tf.layers.dense(self.x, 3)\n",
    "a counter": TF + "class C(object):\n    def __init__(self):\n"
    "        self.global_step = tf.Variable(0, trainable=False)\n"
    "        self.lr = tf.Variable(0.1, name='lr')\n",
    "a vocabulary": "class C(object):\n    def __init__(self):\n        self.words = {}\n\n"
    "    def add(self, word):\n        self.words[word] = len(self.words)\n",
}

FUNCTIONS = [
    ("def f(n):\n    return nn.Sequential(nn.Linear(n, n), nn.ReLU())\n", True),
    ("def f(x, w):\n    return tf.nn.conv2d(x, w, [1, 1, 1, 1], 'SAME')\n", True),
    ("def f(x):\n    w = tf.get_variable('w', [3])\n    return x * w\n", True),
    ("def f(args):\n    model = Model(args)\n    return model\n", False),
    ("def f(x, y):\n    return F.cross_entropy(x, y)\n", False),
    ("def f(x):\n    return x.view(-1)\n", False),
]


def any_of_class(code: str) -> bool:
    repository = RepositoryCode("o/r", None, {"m.py": code})
    methods = [s for s in repository.extractions["m.py"].snippets if s.class_qualname == "C"]
    assert methods
    return any(rule(Question.MODEL_DEFINITION, m, repository).decision for m in methods)


@pytest.mark.parametrize("code", MODELS.values(), ids=MODELS.keys())
def test_models(code: str) -> None:
    assert any_of_class(code) is True


@pytest.mark.parametrize("code", NO_MODELS.values(), ids=NO_MODELS.keys())
def test_no_models(code: str) -> None:
    assert any_of_class(code) is False


@pytest.mark.parametrize(("code", "expected"), FUNCTIONS)
def test_functions(code: str, expected: bool) -> None:
    repository = RepositoryCode("o/r", None, {"m.py": TORCH + TF + code})
    snippet = repository.extractions["m.py"].snippets[0]
    assert rule(Question.MODEL_DEFINITION, snippet, repository).decision is expected


@pytest.mark.parametrize(("made", "model"), [("net", False), ("nn.Linear(3, 3)", True)])
def test_a_module_that_is_called_trainer_is_a_network_only_with_layers(
    made: str, model: bool
) -> None:
    code = f"""{TORCH}
class NetTrainer(nn.Module):
    def __init__(self, net):
        self.net = {made}

    def forward(self, x):
        return self.net(x)
"""
    repository = RepositoryCode("o/r", None, {"m.py": code})
    forward = repository.extractions["m.py"].snippets[-1]
    assert rule(Question.MODEL_DEFINITION, forward, repository).decision is model
