"""Tables of cases: does the snippet ``f`` (or the loop, or ``M.f``) calculate a loss itself?"""

import pytest

from classify.judges.rules import Ruling, rule
from classify.questions import Question
from mining.code import RepositoryCode
from mining.records import Kind

TORCH = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
TF = "import tensorflow as tf\n"


def asked(code: str) -> Ruling:
    """Ask about the function that is called f or forward, or else about the loop."""
    repository = RepositoryCode("o/r", None, {"m.py": code})
    snippets = repository.extractions["m.py"].snippets
    wanted = [s for s in snippets if s.qualname.rpartition(".")[2] in ("f", "forward")]
    wanted += [s for s in snippets if s.kind is Kind.LOOP]
    return rule(Question.LOSS_DEFINITION, wanted[0], repository)


USAGE = {
    "one library loss": TORCH + "def f(x, y):\n    loss = F.mse_loss(x, y)\n    return loss\n",
    "a criterion that is given": "def f(criterion, x, y):\n    return criterion(x, y)\n",
    "a criterion made here": TORCH
    + "def f(x, y):\n    c = nn.BCELoss()\n    l = c(x, y)\n    l.backward()\n",
    "a step with a library loss": TORCH
    + """
def f(model, opt, x, y):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
    return loss.item()
""",
    "numbers added up for a report": TORCH
    + """
def f(model, loader, criterion):
    total_loss = 0
    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()
        total_loss += loss.item() * x.size(0)
    return total_loss / len(loader)
""",
    "tensors added up for a report": TORCH
    + """
def f(model, loader, criterion):
    test_loss = 0
    for x, y in loader:
        test_loss += criterion(model(x), y)
    test_loss /= len(loader.dataset)
    return test_loss
""",
    "divided by the steps of accumulation": TORCH
    + """
def f(model, x, accumulation_steps):
    loss = model(x)
    loss = loss / accumulation_steps
    loss.backward()
""",
    "the mean of a loss that a function of the repository gives": TF
    + "def f(model, x):\n    losses = model.training_losses(x)\n"
    "    return {'loss': tf.reduce_mean(losses)}\n",
    "the mean over devices": TORCH + "def f(self):\n    torch.mean(self.loss_total).backward()\n",
    "a loss run in a session": TF
    + """
def f(sess, model, batches):
    avg_cost = 0.
    for batch in batches:
        _, c = sess.run([model.train_op, model.cost], {model.x: batch})
        avg_cost += c / len(batches)
    return avg_cost
""",
    "the network's own arithmetic": TORCH
    + """
def f(self, x, y):
    h = (x - self.mean) / self.std
    h = h * self.gate(h) + x
    return F.cross_entropy(self.head(h), y)
""",
    "an accuracy": TORCH
    + "def f(p, y):\n    error = (p.argmax(1) != y).float().mean()\n    return 1 - error\n",
    "a loss in mixed precision": TORCH
    + "def f(model, scaler, x):\n    loss = model(x)\n    scaler.scale(loss).backward()\n",
    "the same criterion in both arms": """
def f(criterion, x, y, cuda):
    if cuda:
        loss = criterion(x.cuda(), y.cuda())
    else:
        loss = criterion(x, y)
    return loss
""",
    "settings of a layer": """
def f(self):
    config = {'kernel_regularizer': self.kernel_regularizer, 'units': self.units}
    base = super().get_config()
    return dict(list(base.items()) + list(config.items()))
""",
    "lists of losses": """
def f(self):
    losses = []
    for layer in self.layers:
        losses += layer.losses
    return losses + self.own_losses
""",
    "a weight of a loss": "def f(sigma, data):\n"
    "    loss_weight = (sigma ** 2 + data ** 2) / (sigma * data) ** 2\n    return loss_weight\n",
    "a difference for early stopping": """
def f(trainer, prev_loss):
    loss = trainer.step()
    improvement = prev_loss - loss
    return improvement > 0
""",
    "losses reduced over workers": """
def f(loss_dict):
    losses = torch.stack([loss_dict[k] for k in sorted(loss_dict)])
    losses /= get_world_size()
    return losses
""",
    "labels written as one hot": TORCH
    + "def f(x, y):\n    t = torch.zeros_like(x).scatter_(1, y, 1.0)\n"
    "    return F.binary_cross_entropy(x, t)\n",
    "an optimiser's own step": """
def f(self, params, grads, lr):
    for p, g, m in zip(params, grads, self.ms):
        new_p = p - lr * (m - g)
        p.assign(new_p)
""",
    "an empty function": "def f(loss):\n    pass\n",
    "the gradient that arrives at a tensor": TORCH
    + "def f(a, b, loss_of_gradients):\n    y = a * b\n    y.backward(torch.rand_like(y))\n",
    "sums over what was logged": """
def f(logging_outputs):
    loss_sum = sum(log.get('loss', 0) for log in logging_outputs)
    nsentences = sum(log.get('nsentences', 0) for log in logging_outputs)
    return {'loss': loss_sum / nsentences}
""",
    "what an assertion expects": "def f(a, b):\n    expected_loss = ((a - b) ** 2).mean()\n"
    "    assert loss(a, b) == expected_loss\n",
    "a mask for the loss": "def f(a, b):\n    mask_for_loss = a * b\n"
    "    return criterion(a, mask_for_loss)\n",
    "a number added to what is reported": "def f(pairs):\n    losses = {'mcd_loss': 0.0}\n"
    "    for d in pairs:\n        losses['mcd_loss'] += d.item()\n    return losses\n",
    "a divergence between counts": "import numpy as np\ndef f(p, q):\n"
    "    kl = np.sum(p * (np.log(p) - np.log(q)))\n    return kl\n",
    "a moving average": "def f(self, x, alpha):\n    # the learning rate\n"
    "    self.mean += alpha * (x - self.mean)\n",
    "a meter that is called losses": """
def f(loader, criterion):
    losses = AverageMeter()
    for x, y in loader:
        losses.update(criterion(x, y), x.size(0))
    return losses
""",
    "a loss scaled against underflow": "def f(self, loss):\n"
    "    scale = self.scaler.get_scale()\n    return loss * scale\n",
    "the best loss so far is kept, in both arms": """
def f(evaluate, best, averaged):
    if averaged:
        first = evaluate()
        if first < best:
            stored_loss = first
    for x in [1]:
        if averaged:
            val_loss = evaluate(x)
            if val_loss < stored_loss:
                stored_loss = val_loss
        else:
            test_loss = evaluate(2)
            if test_loss < stored_loss:
                stored_loss = test_loss
""",
    "scaled by a property": """
class Scaler:
    @property
    def loss_scale(self):
        return self.cur_scale

    def f(self, loss):
        scaled_loss = loss * self.loss_scale
        scaled_loss.backward()
""",
    "divided by a normalisation, or times a setting": "def f(self, loss, normalization):\n"
    "    loss /= normalization\n    return loss * self._config.loss_config.CP\n",
    "a number that is only asked for": TORCH
    + "def f(A, B):\n    if (err := torch.sum((A - B) ** 2)) > 1e-5:\n        print(err)\n",
    "class weights that do not depend on the prediction": TORCH
    + """
def f(x, t, counts):
    w = 1 - counts / counts.sum()
    return F.cross_entropy(x, t, w)
""",
    "losses by name, each ready-made": TORCH
    + """
def f(criterion, x, y):
    losses = {}
    losses['x'] = criterion(x, y)
    return losses
""",
}

DEFINITION = {
    "a dictionary of losses that is summed": """
def f(criterion, x, y):
    losses = {}
    losses['x'] = criterion(x, y)
    losses['y'] = criterion(y, x)
    return sum(losses.values())
""",
    "losses added up in a dictionary that is minimised": """
def f(criterion, pairs):
    losses = {}
    near_loss = 0
    for x, y in pairs:
        near_loss += criterion(x, y)
    losses['near'] = near_loss
    return losses


def g(model, pairs):
    losses = f(model, pairs)
    loss = sum(losses.values())
    loss.backward()
""",
    "weights out of the prediction": TORCH
    + """
def f(x, t):
    p = x.sigmoid()
    w = (1 - p * t).pow(2)
    return F.binary_cross_entropy_with_logits(x, t, w)
""",
    "the squared distance from a constant": TF
    + "def f(w):\n    product = tf.matmul(tf.transpose(w), w)\n"
    "    ortho_loss = tf.nn.l2_loss(tf.subtract(product, tf.eye(3)))\n    return ortho_loss\n",
    "a mean by a helper": TORCH + "def flat(x, dim=1):\n    return torch.mean(x, dim=dim)\n\n\n"
    "def f(a, b):\n    loss = flat((a - b).pow(2))\n    return loss\n",
    "a term added to a loss that is passed on": "def f(z, prior, objective=0.):\n"
    "    objective += prior.logp(z)\n    return z, objective\n",
    "costs added up and returned with gradients": """
def f(words, cost_and_gradient):
    cost, grad = 0.0, 0.0
    for word in words:
        this_cost, this_grad = cost_and_gradient(word)
        cost += this_cost
        grad += this_grad
    return cost, grad
""",
    "a divergence of distributions, summed": "from torch.distributions import kl_divergence\n"
    "def f(self, q, p):\n    kl = kl_divergence(q, p).sum(1).mean()\n    return kl\n",
    "what two distributions share": TORCH
    + "def f(a, b):\n    cov_loss = torch.min(a, b).sum()\n    return cov_loss\n",
    "a mean that leaves elements out": "def f(loss_fn, x, y, pad):\n    loss = loss_fn(x, y)\n"
    "    loss.masked_fill_(y == pad, 0.0)\n    return loss.sum()\n",
    "the axis first": TF + "def f(x):\n    a, b = tf.split(0, 2, x)\n"
    "    loss = tf.reduce_sum(tf.square(tf.sub(a, b)), 1)\n    return loss\n",
    "two losses with a weight": TORCH
    + "def f(x, y, z, beta):\n    return F.mse_loss(x, y) + beta * F.l1_loss(x, z)\n",
    "a loss with a regulariser": TF
    + """
def f(logits, y, w):
    xent = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    return xent + 1e-4 * tf.nn.l2_loss(w)
""",
    "a squared difference": TF
    + """
def f(self):
    self.cost = tf.reduce_mean(tf.square(self.x - self.y))
    self.op = tf.train.AdamOptimizer().minimize(self.cost)
""",
    "by methods of tensors": "def f(a, b):\n    loss = a.sub(b).pow(2).mean()\n    return loss\n",
    "by functions of a framework": TF
    + "def f(a, b):\n    loss = tf.multiply(a, tf.subtract(a, b))\n    return loss\n",
    "KL divergence by its formula": TORCH
    + "def f(mu, logvar):\n    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())\n"
    "    return kld\n",
    "a Wasserstein loss": TORCH
    + "def f(D, fake, opt):\n    g = -D(fake).mean()\n    g.backward()\n    opt.step()\n",
    "a hinge loss": TORCH
    + "def f(real):\n    d_loss = F.relu(1. - real).mean()\n    return d_loss\n",
    "a soft-plus loss": TORCH + "def f(p):\n    loss = F.softplus(-p).mean()\n    return loss\n",
    "a mask": TF
    + """
def f(preds, labels, mask):
    loss = tf.nn.sigmoid_cross_entropy_with_logits(logits=preds, labels=labels)
    loss *= mask
    return loss
""",
    "a reduction": TF + "def f(x, y):\n    return tf.reduce_mean(\n"
    "        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x))\n",
    "a reduction in PyTorch": TORCH
    + "def f(x, y):\n    loss = F.cross_entropy(x, y, reduction='none')\n    return loss.mean()\n",
    "a reduction by a criterion that is kept": TORCH
    + """
class M(nn.Module):
    def __init__(self):
        self.crit = nn.MSELoss(reduction='none').cuda()

    def f(self, x, y):
        loss = self.crit(x, y).mean()
        return loss
""",
    "the mean by hand": TORCH + "def f(x, y):\n"
    "    loss = F.binary_cross_entropy(x, y, reduction='sum') / x.size(0)\n    return loss\n",
    "Keras functions under their name in TensorFlow 2": TF
    + "def f(x, y):\n    loss = tf.losses.categorical_crossentropy(y, x)\n"
    "    return tf.reduce_mean(loss)\n",
    "a branch between losses": TORCH
    + """
def f(kind, x, y):
    if kind == 'l1':
        return F.l1_loss(x, y)
    elif kind == 'l2':
        return F.mse_loss(x, y)
""",
    "a branch between values of losses": """
def f(self, a, b, kind):
    first_loss = self.loss(a)
    second_loss = self.loss(b)
    if kind:
        loss = first_loss
    else:
        loss = second_loss
    return loss
""",
    "a branch between criteria": TORCH
    + """
def f(args):
    if args.loss == 'l1':
        criterion = nn.L1Loss()
    else:
        criterion = nn.MSELoss()
    return criterion
""",
    "a conditional expression between losses": TORCH
    + "def f(x, y, l1):\n    return F.l1_loss(x, y) if l1 else F.mse_loss(x, y)\n",
    "a loss summed over time and propagated": TORCH
    + """
def f(cell, criterion, xs, ys, optimizer):
    loss = 0
    for x, y in zip(xs, ys):
        loss += criterion(cell(x), y)
    loss.backward()
    optimizer.step()
""",
    "losses collected and summed": TORCH
    + """
def f(policy, batch):
    losses = []
    for log_prob, reward in batch:
        losses.append(-log_prob * reward)
    torch.stack(losses).sum().backward()
""",
    "model losses added": TF
    + """
def f(model, loss_fn, x, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x)) + sum(model.losses)
    return tape.gradient(loss, model.trainable_variables)
""",
    "a sum by add_n": TF + "def f(loss):\n    tf.add_to_collection('losses', loss)\n"
    "    total_loss = tf.add_n(tf.get_collection('losses') + [loss])\n    return total_loss\n",
    "a gradient penalty": TORCH
    + """
def f(D, x):
    grad = torch.autograd.grad(D(x).sum(), x, create_graph=True)[0]
    gradient_penalty = ((grad.norm(2, dim=1) - 1) ** 2).mean()
    return gradient_penalty
""",
    "contrastive divergence": TF
    + """
class RBM(object):
    def f(self, visible, learning_rate):
        hidden = self.propup(visible)
        seen = self.propdown(hidden)
        positive = tf.matmul(tf.transpose(visible), hidden)
        negative = tf.matmul(tf.transpose(seen), self.propup(seen))
        return self.weights.assign_add(learning_rate * (positive - negative))
""",
    "contrastive divergence in NumPy": """
import numpy as np
class RBM:
    def f(self, v0, vk, h0, hk):
        self.W += self.lr * (np.dot(v0.T, h0) - np.dot(vk.T, hk))
""",
    "a nested function": TORCH
    + "def f():\n    def loss_fn(a, b):\n        return (a - b).abs().mean()\n    return loss_fn\n",
    "a lambda": TORCH + "def f(opt, a, b):\n    opt.minimize(lambda: torch.mean((a - b) ** 2))\n",
    "a method of a loss class": TORCH
    + """
class DiceLoss(nn.Module):
    def forward(self, x, y):
        return 1 - 2 * (x * y).sum() / (x + y).sum()
""",
    "targets smoothed by hand": TORCH
    + """
def f(x, y, smoothing):
    spread = torch.full_like(x, smoothing / 10)
    spread.scatter_(1, y.unsqueeze(1), 1 - smoothing)
    return F.kl_div(x, spread)
""",
    "a criterion that another one may replace": TORCH
    + """
def f(weighted):
    criterion = nn.L1Loss()
    if weighted:
        criterion = nn.MSELoss()
    return criterion
""",
    "the mean score of a critic": TORCH
    + "def f(D, fake):\n    d_loss = D(fake).mean()\n    d_loss.backward()\n",
    "the mean score of a critic, with its sign": TORCH
    + "def f(netD, x, mone):\n    score = netD(x).mean()\n    score.backward(mone)\n",
    "a critic's scores by their name": TF
    + "def f(self):\n    self.g_loss = tf.reduce_mean(self.D_fake)\n",
    "a negated log-probability": TORCH
    + "def f(logits, y):\n    logp = logits.log_softmax(-1)\n    loss = -logp[y]\n"
    "    return loss\n",
    "a log-probability by its name": "def f(model, x):\n    log_prob = model(x)\n"
    "    loss = -log_prob / 32\n    loss.backward()\n",
    "a choice by a table": """
class SetCriterion:
    def loss_boxes(self, x): ...
    def loss_labels(self, x): ...

    def f(self, kind, x):
        table = {'boxes': self.loss_boxes, 'labels': self.loss_labels}
        return table[kind](x)
""",
    "a choice by a mask": TORCH
    + "def f(t, p, q):\n    kl = self.kl_loss(p, q)\n    nll = self.nll_loss(p)\n"
    "    return torch.where(t == 0, nll, kl)\n",
    "losses weighed in a dictionary": """
def f(loss_dict, weights):
    scaled_losses = {k: v * weights[k] for k, v in loss_dict.items()}
    return scaled_losses
""",
    "losses of a criterion by their keys": """
class SetCriterion:
    def forward(self, outputs):
        losses = {}
        for kind in self.kinds:
            losses.update(self.get_loss(kind, outputs))
        return losses
""",
    "an entry among losses": TF + "def f(num, den):\n    losses = {}\n"
    "    losses['auxiliary'] = tf.reduce_mean(num / den - den)\n    return losses\n",
    "a loss given by its name": "def f(loss, aux_loss):\n"
    "    return Output(loss=loss + 0.1 * aux_loss)\n",
    "a class called by another word for a loss": TORCH
    + """
class GradientPenalty(nn.Module):
    def forward(self, g):
        return ((g.norm(2, dim=1) - 1) ** 2).mean()
""",
    "an error that moves weights": """
import numpy as np
def f(X, y, w, learning_rate):
    for _ in range(9):
        difference = X.dot(w) - y
        w = w - learning_rate * X.T.dot(difference)
    return w
""",
    "targets sharpened by hand": TF
    + "def f(p):\n    target = tf.stop_gradient(tf.pow(p, 2) / tf.reduce_sum(p))\n"
    "    loss = tf.reduce_mean(target * tf.log(p))\n    return loss\n",
    "logarithms in Python 2": """
import numpy as np
def f(p, y):
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    print "loss", loss
    return loss
""",
}


@pytest.mark.parametrize("code", USAGE.values(), ids=USAGE.keys())
def test_usage_is_no_definition(code: str) -> None:
    assert asked(code).decision is False


@pytest.mark.parametrize("code", DEFINITION.values(), ids=DEFINITION.keys())
def test_definition(code: str) -> None:
    ruling = asked(code)
    assert ruling.decision is True
    assert ruling.lines and all(str(line) in ruling.reason for line in ruling.lines)


def test_a_loop_sees_what_the_module_binds() -> None:
    code = TORCH + "crit = nn.MSELoss(reduction='none')\n"
    code += "for x, y in data:\n    loss = crit(x, y).mean()\n"
    assert asked(code).decision is True
    assert asked(code.replace("(reduction='none')", "()")).decision is False


def test_arithmetic_outside_of_the_snippet_does_not_count() -> None:
    code = TORCH + "loss = F.mse_loss(a, b) + F.l1_loss(a, b)\n\n\ndef f():\n    return loss\n"
    assert asked(code).decision is False


@pytest.mark.parametrize(("name", "found"), [("output_delta", True), ("difference", False)])
def test_the_derivative_at_the_output_layer(name: str, found: bool) -> None:
    text = f"class Net:\n    def {name}(self, y, p):\n        return -(y - p)\n"
    code = RepositoryCode("o/r", None, {"m.py": text})
    snippet = code.extractions["m.py"].snippets[0]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is found


@pytest.mark.parametrize(
    ("file", "name", "found"),
    [
        ("m.py", "kl_distance", True),
        ("inception_score.py", "mean_difference", False),
        ("m.py", "inception_score", False),
        ("score_metric.py", "f", False),
        ("m.py", "score_matching_loss", True),
    ],
)
def test_a_metric_is_no_loss_by_the_names_in_it(file: str, name: str, found: bool) -> None:
    text = f"{TORCH}def {name}(p, q):\n    kl = (p * (p.log() - q.log())).sum()\n    return kl\n"
    code = RepositoryCode("o/r", None, {file: text})
    assert (
        rule(Question.LOSS_DEFINITION, code.extractions[file].snippets[0], code).decision is found
    )


@pytest.mark.parametrize(
    ("use", "found"),
    [
        ("loss = f(x, y)", True),
        ("loss = f(x, y).mean()\n    loss.backward()", True),
        ("_, loss = g(x, f(x, y))", False),
        ("distance = f(x, y)", False),
        ("loss = total_loss + reduced(f(x, y))", False),
    ],
)
def test_a_function_is_known_as_a_loss_by_what_its_caller_calls_the_result(
    use: str, found: bool
) -> None:
    distance = "def f(a, b):\n    return (a - b).pow(2).sum(1)\n"
    assert asked(f"{distance}\n\ndef step(x, y):\n    {use}\n").decision is found


def test_a_function_that_is_given_a_loss_makes_none_of_its_own() -> None:
    given = "def f(x, index):\n    return x.sum() / index.sum()\n\n\n"
    step = "def step(x, y):\n    loss = F.mse_loss(x, y)\n    loss = f(loss, y)\n"
    assert asked(TORCH + given + step + "    loss.backward()\n").decision is False


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import torch.nn.functional as G", "G.mse_loss"),
        ("from torch.nn import functional", "functional.mse_loss"),
        ("from torch.nn.functional import mse_loss as distance", "distance"),
        ("import torch", "torch.nn.functional.mse_loss"),
        ("from torch import nn\nG = nn.functional", "G.mse_loss"),
        ("import tensorflow.compat.v1 as tf", "tf.nn.sigmoid_cross_entropy_with_logits"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_ready_made_loss_is_known_by_its_import(statement: str, name: str, inside: bool) -> None:
    lines = statement.splitlines()
    if inside and len(lines) == 1:
        code = f"def f(x, y, z):\n    {statement}\n    return {name}(x, y) + {name}(x, z)\n"
    else:
        code = f"{statement}\n\n\ndef f(x, y, z):\n    return {name}(x, y) + {name}(x, z)\n"
    assert asked(code).decision is True


def test_a_function_is_known_as_a_loss_by_what_its_caller_does() -> None:
    distance = "def f(a, b):\n    return (a - b).abs().mean()\n"
    caller = "\n\ndef step(net, x, y):\n    d = f(net(x), y)\n    d.backward()\n"
    assert asked(distance).decision is False
    assert asked(distance + caller).decision is True


def test_only_the_part_of_the_result_that_is_minimised_is_a_loss() -> None:
    code = "def f(a, b):\n    return a, (a - b).abs().mean()\n\n\ndef step(x, y):\n"
    assert asked(code + "    _, d = f(x, y)\n    d.backward()\n").decision is True
    assert asked(code + "    d, _ = f(x, y)\n    d.backward()\n").decision is False


@pytest.mark.parametrize(
    ("path", "definition"),
    [
        ("losses.py", True),
        ("criterions/pairs.py", True),
        ("gan/gan_loss.py", True),
        ("layers.py", False),
        ("tests/test_losses.py", False),
        ("plot_losses.py", False),
        ("loss_scaler.py", False),
    ],
)
@pytest.mark.parametrize(
    "body", ["F.softplus(-a).mean() + F.softplus(b).mean()", "a.mean() - b.mean()", "-a.mean()"]
)
def test_what_a_file_of_losses_reduces_to_a_number_is_one(
    path: str, definition: bool, body: str
) -> None:
    code = RepositoryCode("o/r", None, {path: TORCH + f"def f(a, b):\n    return {body}\n"})
    snippet = code.extractions[path].snippets[0]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is definition


@pytest.mark.parametrize(
    "use",
    [
        "model.compile(loss=f)",
        "LOSSES = {'d': f}",
        "criteria = {'d': f}\nloss_fn = f",
        "def get_loss(name):\n    return f, None",
        "def training_step(batch):\n    return f(*batch)",
        "criterion = partial(f, b=2)",
    ],
)
def test_a_function_that_is_given_as_a_loss_is_one(use: str) -> None:
    distance = "def f(a, b):\n    return (a - b).abs().mean()\n"
    assert asked(distance).decision is False
    assert asked(f"{distance}\n\n{use}\n").decision is True


@pytest.mark.parametrize(("name", "found"), [("cd1_gradients", True), ("differences", False)])
def test_two_phases_that_a_function_returns_for_an_update(name: str, found: bool) -> None:
    text = f"def {name}(v0, vk, h0, hk):\n    return v0.T.dot(h0) - vk.T.dot(hk)\n"
    code = RepositoryCode("o/r", None, {"cd_numpy.py": text})
    snippet = code.extractions["cd_numpy.py"].snippets[0]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is found


@pytest.mark.parametrize(("end", "found"), [("", True), (".item()", False)])
def test_an_error_that_only_leaves_the_graph_is_a_metric(end: str, found: bool) -> None:
    text = f"def recon_error(a, b):\n    return (a - b).pow(2).mean(){end}\n"
    code = RepositoryCode("o/r", None, {"m.py": text})
    snippet = code.extractions["m.py"].snippets[0]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is found


def test_a_factory_chooses_among_functions_of_a_file_of_losses() -> None:
    losses = (
        "def near(a, b):\n    return (a - b).abs().mean()\ndef far(a, b):\n    return -a.mean()\n"
    )
    factory = "def f(name):\n    if name == 'near':\n        return near\n    return far\n"
    code = RepositoryCode("o/r", None, {"losses.py": losses + factory})
    snippet = code.extractions["losses.py"].snippets[-1]
    assert rule(Question.LOSS_DEFINITION, snippet, code).decision is True


def test_a_function_read_alone_is_no_loss_by_its_callers() -> None:
    text = (
        "def f(a, b):\n    return (a - b).abs().mean()\n\n\ndef g(x, y):\n    f(x, y).backward()\n"
    )
    code = RepositoryCode("o/r", None, {"m.py": text})
    snippet = code.extractions["m.py"].snippets[0]
    question = Question.LOSS_DEFINITION
    assert rule(question, snippet, code).decision is True
    assert rule(question, snippet, code, interprocedural=False).decision is False


@pytest.mark.parametrize(
    ("code", "related"),
    [
        ("def f(x):\n    return x + 1\n", False),
        ("def f(path):\n    return open(path).read()\n", False),
        ("def f(model):\n    model.train_loss = 0\n", True),
        ("def f(x):\n    x.mean().backward()\n", True),
        ("def f(opt, x):\n    return opt.minimize(x)\n", True),
        ("def f(logger, message):\n    logger.error(message)\n", False),
        (TORCH + "def f(x, y):\n    return F.kl_div(x, y)\n", True),
        ("def f(history):\n    print history['val_loss']\n", True),
    ],
)
def test_loss_related(code: str, related: bool) -> None:
    repository = RepositoryCode("o/r", None, {"m.py": code})
    snippet = repository.extractions["m.py"].snippets[0]
    assert rule(Question.LOSS_RELATED, snippet, repository).decision is related
