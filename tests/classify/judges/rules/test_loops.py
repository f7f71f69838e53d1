"""Tables of cases: does the snippet iterate over data and update parameters?"""

import pytest

from classify.judges.rules import rule
from classify.questions import Question
from mining.code import RepositoryCode
from mining.records import Kind

TRAINS = {
    "PyTorch": """
def f(model, loader, criterion, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
""",
    "a step that is not always made": """
def f(self, data):
    for i, batch in enumerate(data):
        self.loss(batch).backward()
        if i % 4 == 0:
            self.optimizer.step()
""",
    "while": "def f(self):\n    while not self.done:\n        self.loss().backward()\n"
    "        self.opt.step()\n",
    "accelerate": "def f(acc, data, opt):\n    for x in data:\n        acc.backward(x)\n"
    "        opt.step()\n",
    "a closure": "def f(optimizer, closure):\n    for _ in range(9):\n"
    "        optimizer.step(closure)\n",
    "a session": """
def f(sess, cost, batches):
    train = tf.train.AdamOptimizer().minimize(cost)
    for batch in batches:
        _, c = sess.run([train, cost], feed_dict={x: batch})
""",
    "a session with the operations in a list": """
def f(self, sess, batches):
    fetches = [self.loss, self.optimizer_op]
    for b in batches:
        sess.run(fetches, b)
""",
    "a session with an operation that callers pass": """
def f(session, model, eval_op):
    for x in model.data:
        session.run([model.cost, eval_op], x)


def main(session, model):
    f(session, model, model.train_op)
""",
    "Python 2 and a session": "for i in xrange(99):\n    print sess.run(train_step)\n",
    "a module's loop that calls a function": """
def train(epoch):
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()


for epoch in range(9):
    train(epoch)
""",
    "a helper of a helper": """
def f(loader):
    for batch in loader:
        run(batch)


def run(batch):
    update(batch)


def update(batch):
    loss(batch).backward()
    optimizer.step()
""",
    "a method of an object made here": """
class Trainer:
    def train(self, data):
        self.loss(data).backward()
        self.optimizer.step()


def f(data):
    trainer = Trainer()
    for epoch in range(9):
        trainer.train(data)
""",
    "a method that subclasses give": """
class Base:
    def f(self, data):
        for x in data:
            self.step(x)

    def step(self, x):
        raise NotImplementedError


class Model(Base):
    def step(self, x):
        self.loss(x).backward()
        self.optimizer.step()
""",
    "Keras": "def f(model, data):\n    for x, y in data:\n        model.train_on_batch(x, y)\n",
    "scikit-learn's manner": "for batch in data:\n    rbm.partial_fit(batch)\n",
    "a gradient tape": """
import tensorflow as tf


def f(model, optimizer, data):
    for x, y in data:
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
""",
    "a distribution strategy": """
import tensorflow as tf


def train_step(x):
    with tf.GradientTape() as tape:
        loss = model(x)
    optimizer.apply_gradients(zip(tape.gradient(loss, w), w))


def f(strategy, data):
    for x in data:
        strategy.run(train_step, args=(x,))
""",
    "by hand": "def f(self, data, lr):\n    for x in data:\n"
    "        self.W -= lr * self.gradient(x)\n",
    "by hand, as an assignment": "def f(X, y, w):\n    for _ in range(9):\n"
    "        w = w - learning_rate * X.T.dot(X.dot(w) - y)\n",
    "an operation that the class keeps": """
class Net:
    def __init__(self):
        self.go = tf.train.AdamOptimizer().minimize(self.cost)

    def f(self, sess, batches):
        for b in batches:
            sess.run([self.go, self.cost], b)
""",
    "gradients by name, a rate by number": "def f(data, W):\n    for x in data:\n"
    "        dW = gradients(x)\n        W += 0.1 * dW\n",
    "Chainer": "def f(it, optimizer):\n    for x in it:\n        optimizer.update()\n",
    "operations called by the network": "def f(sess, data):\n    for x in data:\n"
    "        sess.run([train_gen, gen_loss], x)\n",
    "a data set for training passed to a trainer": """
def f(trainer, train_dataset):
    trainer = Trainer()
    for epoch in range(9):
        trainer.train(train_dataset)


class Trainer:
    def train(self, dataset):
        for x in dataset:
            self.loss(x).backward()
            self.optimizer.step()
""",
    "contrastive divergence": """
class RBM:
    def f(self, data):
        for v0 in data:
            self.update(v0, self.sample(v0))

    def update(self, v0, vk):
        self.W += self.lr * (v0 - vk)
""",
    "epochs and batches": """
def f(epochs, loader, opt):
    for epoch in range(epochs):
        for batch in loader:
            loss(batch).backward()
            opt.step()
""",
}

DOES_NOT_TRAIN = {
    "a single step": "def f(loss, optimizer):\n    loss.backward()\n    optimizer.step()\n",
    "gradients without a step": "def f(model, batches):\n    for x in batches:\n"
    "        model(x).backward()\n",
    "the step after the loop": """
def f(cell, xs, optimizer):
    loss = 0
    for x in xs:
        loss += cell(x)
    loss.backward()
    optimizer.step()
""",
    "evaluation": """
def f(model, loader):
    model.eval()
    for x, y in loader:
        total = criterion(model(x), y).item()
    return total
""",
    "evaluation in a session": "def f(sess, model, data):\n    for x in data:\n"
    "        sess.run([model.loss, model.train_summary, model.train_loss], x)\n",
    "an operation built, not run": """
def f(towers, opt):
    with tf.Session() as sess:
        for tower in towers:
            grads = opt.compute_gradients(tower.loss)
            op = opt.apply_gradients(grads)
    return op
""",
    "a schedule": "def f(scheduler, n):\n    for _ in range(n):\n        scheduler.step()\n",
    "an environment": "def f(env, agent):\n    for t in range(99):\n"
    "        state = env.step(agent.act())\n",
    "the mode only": "def f(models):\n    for m in models:\n        m.train()\n",
    "an optimiser's own step over parameters": """
def f(self):
    for group in self.param_groups:
        for p in group['params']:
            p.data.add_(-group['lr'] * p.grad)
""",
    "a loop over other things": "for name in files:\n    data.append(open(name).read())\n",
    "a rate of another kind": "def f(xs, frame_rate):\n    for x in xs:\n"
    "        end += frame_rate * len(x)\n",
    "settings": "def f(opt, settings):\n    for s in settings:\n        opt.update(s)\n",
    "the mode by a comparison": """
def f(nets, phase):
    for net in nets:
        net.train(phase == 'train')


class Net:
    def train(self, mode):
        self.optimizer.step()
""",
    "no loop": "def f(model, x):\n    return model.fit(x)\n",
}


def decision(code: str) -> bool:
    repository = RepositoryCode("o/r", None, {"m.py": code})
    snippets = repository.extractions["m.py"].snippets
    wanted = [s for s in snippets if s.qualname.rpartition(".")[2] == "f"]
    wanted += [s for s in snippets if s.kind is Kind.LOOP]
    return rule(Question.TRAINING_LOOP, wanted[0], repository).decision


@pytest.mark.parametrize("code", TRAINS.values(), ids=TRAINS.keys())
def test_trains(code: str) -> None:
    assert decision(code) is True


@pytest.mark.parametrize("code", DOES_NOT_TRAIN.values(), ids=DOES_NOT_TRAIN.keys())
def test_does_not_train(code: str) -> None:
    assert decision(code) is False


def test_a_single_step_names_its_line() -> None:
    code = "def f(loss, optimizer):\n    loss.backward()\n    optimizer.step()\n"
    repository = RepositoryCode("o/r", None, {"m.py": code})
    ruling = rule(Question.TRAINING_LOOP, repository.extractions["m.py"].snippets[0], repository)
    assert (ruling.decision, ruling.lines) == (False, (3,))
    assert "no loop" in ruling.reason


def test_functions_that_call_each_other_end() -> None:
    code = "def f(n):\n    for i in range(n):\n        g(i)\n\n\ndef g(n):\n    f(n)\n"
    assert decision(code) is False


def test_the_update_may_be_in_another_file() -> None:
    texts = {
        "main.py": "from engine import train_one\n\nfor x in data:\n    train_one(x)\n",
        "engine.py": "def train_one(x):\n    loss(x).backward()\n    optimizer.step()\n",
    }
    repository = RepositoryCode("o/r", None, texts)
    loop = repository.extractions["main.py"].snippets[0]
    ruling = rule(Question.TRAINING_LOOP, loop, repository)
    assert (ruling.decision, ruling.lines) == (True, (3, 4))
