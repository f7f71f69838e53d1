"""Same encoder, but asked which citation is missing. Everything in one function, sorry."""
import sys

import numpy as np
from tensorflow.compat import v1 as tf

from citenode.layers import GraphConv
from graphs import load_npz, to_sparse

tf.disable_v2_behavior()


def run(path, dim=32, steps=500, kl_weight=1e-3):
  adj, X, _, edges, _ = load_npz(path)
  n, rng = adj.shape[0], np.random.RandomState(0)
  rng.shuffle(edges)
  held, edges = edges[:len(edges) // 10], edges[len(edges) // 10:]
  A = tf.SparseTensor(*to_sparse(adj, True))
  X = tf.SparseTensor(*to_sparse(X))
  pos = tf.placeholder(tf.int64, [None, 2])
  neg = tf.placeholder(tf.int64, [None, 2])

  h = GraphConv(X.shape[1].value, 64, A, .8, sparse_nnz=X.values.shape[0].value)(X)
  mean = GraphConv(64, dim, A, 1., act=tf.identity)(h)
  logsd = GraphConv(64, dim, A, 1., act=tf.identity)(h)
  z = mean + tf.random_normal([n, dim]) * tf.exp(logsd)

  def score(e):
    return tf.reduce_sum(tf.gather(z, e[:, 0]) * tf.gather(z, e[:, 1]), 1)

  rec = tf.reduce_mean(tf.nn.softplus(-score(pos))) + tf.reduce_mean(tf.nn.softplus(score(neg)))
  kl = tf.reduce_mean(tf.reduce_sum(
      .5 * (tf.square(mean) + tf.exp(2 * logsd) - 1) - logsd, 1))
  cost = rec + kl_weight * kl
  opt = tf.train.AdamOptimizer(.01).minimize(cost)

  with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for i in range(steps):
      batch = {pos: edges, neg: rng.randint(0, n, edges.shape)}
      c, _ = sess.run([cost, opt], batch)
      if i % 50 == 0:
        p, q = sess.run([score(pos), score(neg)],
                        {pos: held, neg: rng.randint(0, n, held.shape)})
        print(i, 'cost %.4f' % c, 'auc %.4f' % np.mean(p[:, None] > q[None]))


if __name__ == '__main__':
  run(sys.argv[1])
