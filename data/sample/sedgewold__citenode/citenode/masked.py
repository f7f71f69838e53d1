"""What only the labelled nodes have a say in."""
from tensorflow.compat import v1 as tf


def _weights(mask):
  mask = tf.cast(mask, tf.float32)
  return mask / tf.maximum(tf.reduce_mean(mask), 1e-8)


def masked_xent(logits, onehot, mask):
  per_node = tf.nn.softmax_cross_entropy_with_logits_v2(labels=onehot, logits=logits)
  return tf.reduce_mean(per_node * _weights(mask))


def masked_accuracy(logits, onehot, mask):
  hit = tf.equal(tf.argmax(logits, 1), tf.argmax(onehot, 1))
  return tf.reduce_mean(tf.cast(hit, tf.float32) * _weights(mask))


def masked_squared(pred, target, mask):
  return tf.losses.mean_squared_error(target, pred, weights=tf.cast(mask, tf.float32))


def laplacian_smoothness(prob, edges):
  """Cited papers should get similar classes: sum of (p_i - p_j)^2 over the edges."""
  p_i = tf.gather(prob, edges[:, 0])
  p_j = tf.gather(prob, edges[:, 1])
  return tf.reduce_sum(tf.square(p_i - p_j)) / tf.cast(tf.shape(edges)[0], tf.float32)


def sharpen_kl(prob, temperature=.5):
  target = tf.pow(prob, 1. / temperature)
  target = tf.stop_gradient(target / tf.reduce_sum(target, 1, keepdims=True))
  return tf.reduce_mean(
      tf.reduce_sum(target * (tf.log(target + 1e-9) - tf.log(prob + 1e-9)), 1))
