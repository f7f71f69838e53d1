"""Language of a line (de/en/fr) with tf.estimator, for filtering the crawl."""
from __future__ import print_function

import tensorflow as tf

LANGS = ['de', 'en', 'fr']


def input_fn(path, batch=128, shuffle=True):
  def parse(line):
    text, lang = tf.decode_csv(line, [[''], [0]], field_delim='\t')
    chars = tf.decode_raw(tf.substr(text, 0, 80), tf.uint8)
    return {'chars': tf.to_int32(chars)}, lang

  data = tf.data.TextLineDataset(path).map(parse)
  if shuffle:
    data = data.shuffle(10000).repeat()
  return data.padded_batch(batch, ({'chars': [80]}, [])).make_one_shot_iterator().get_next()


def model_fn(features, labels, mode, params):
  net = tf.contrib.layers.embed_sequence(features['chars'], 256, params['dim'])
  net = tf.layers.conv1d(net, params['filters'], 5, activation=tf.nn.relu)
  net = tf.reduce_max(net, axis=1)
  net = tf.layers.dropout(net, 0.5, training=mode == tf.estimator.ModeKeys.TRAIN)
  logits = tf.layers.dense(net, len(LANGS), name='logits')

  if mode == tf.estimator.ModeKeys.PREDICT:
    return tf.estimator.EstimatorSpec(mode, predictions={'lang': tf.argmax(logits, 1)})

  xent = tf.losses.sparse_softmax_cross_entropy(labels, logits)
  kernels = [v for v in tf.trainable_variables() if 'kernel' in v.name]
  loss = xent + params['l2'] * tf.add_n([tf.nn.l2_loss(v) for v in kernels])
  train_op = tf.train.AdamOptimizer(params['lr']).minimize(
      loss, global_step=tf.train.get_or_create_global_step())
  metrics = {'acc': tf.metrics.accuracy(labels, tf.argmax(logits, 1))}
  return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def main(_):
  tf.logging.set_verbosity(tf.logging.INFO)
  est = tf.estimator.Estimator(model_fn, 'langs', params=dict(dim=32, filters=200, l2=1e-4, lr=1e-3))
  for i in range(10):
    est.train(lambda: input_fn('train.tsv'), steps=2000)
    print(i, est.evaluate(lambda: input_fn('dev.tsv', shuffle=False)))


if __name__ == '__main__':
  tf.app.run()
