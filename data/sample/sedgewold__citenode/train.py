from __future__ import division, print_function

import time

import numpy as np
from tensorflow.compat import v1 as tf

from citenode.models import GCN, SmoothGCN
from graphs import load_npz, to_sparse

tf.disable_v2_behavior()

F = tf.app.flags
F.DEFINE_string('graph', 'data/papers.npz', 'Graph file.')
F.DEFINE_string('model', 'gcn', 'gcn or smooth.')
F.DEFINE_string('regularizer', 'laplace', 'laplace or sharpen.')
F.DEFINE_float('lr', 0.01, 'Learning rate.')
F.DEFINE_float('decay', 5e-4, 'Weight of the L2 loss.')
F.DEFINE_float('gamma', 0.1, 'Weight of the regulariser.')
F.DEFINE_integer('hidden', 16, 'Hidden units.')
F.DEFINE_integer('epochs', 200, 'Epochs.')
F.DEFINE_integer('patience', 20, 'Early stopping.')
FLAGS = F.FLAGS

np.random.seed(11)
tf.set_random_seed(11)

adj, X, Y, edges, masks = load_npz(FLAGS.graph)
F.DEFINE_integer('n_feat', X.shape[1], '')
F.DEFINE_integer('n_class', Y.shape[1], '')
support, features = to_sparse(adj, True), to_sparse(X)

ph = {
    'support': tf.sparse_placeholder(tf.float32),
    'features': tf.sparse_placeholder(tf.float32),
    'labels': tf.placeholder(tf.float32, [None, Y.shape[1]]),
    'mask': tf.placeholder(tf.int32, [None]),
    'edges': tf.placeholder(tf.int32, [None, 2]),
    'keep': tf.placeholder_with_default(1., ()),
    'nnz': tf.placeholder(tf.int32, ()),
}
model = {'gcn': GCN, 'smooth': SmoothGCN}[FLAGS.model](ph, FLAGS).build()
sess = tf.Session()
sess.run(tf.global_variables_initializer())


def feed(split, keep=1.):
  return {ph['support']: support, ph['features']: features, ph['labels']: Y,
          ph['mask']: masks[split], ph['edges']: edges, ph['keep']: keep,
          ph['nnz']: features[1].size}


def evaluate(split):
  return sess.run([model.loss, model.accuracy], feed(split))


val_losses = []
for epoch in range(FLAGS.epochs):
  t = time.time()
  _, loss, acc = sess.run([model.train_op, model.loss, model.accuracy], feed('train', .5))
  val_loss, val_acc = evaluate('val')
  val_losses.append(val_loss)
  print('%04d loss %.5f acc %.4f | val %.5f %.4f | %.3fs' % (
      epoch, loss, acc, val_loss, val_acc, time.time() - t))
  if epoch > FLAGS.patience and val_loss > np.mean(val_losses[-FLAGS.patience - 1:-1]):
    print('early stop')
    break

print('test loss %.5f acc %.4f' % tuple(evaluate('test')))

for c in range(Y.shape[1]):
  hit = sess.run(model.prob, feed('test')).argmax(1)[masks['test']] == c
  print('class', c, 'predicted', hit.sum())
