# variational recurrent autoencoder over whole lines, same characters
# (started from charmodel.py, the decoder is fed z at every step)
import numpy as np
import tensorflow as tf
from tensorflow.python.ops import rnn_cell, rnn

LINE = 40


def linear(x, n_out, scope):
	with tf.variable_scope(scope):
		w = tf.get_variable('w', [x.get_shape()[1], n_out],
				initializer=tf.random_normal_initializer(stddev=0.02))
		b = tf.get_variable('b', [n_out], initializer=tf.constant_initializer(0.))
		return tf.matmul(x, w) + b


class VRAE(object):
	def __init__(self, sess, vocab, hidden=200, nz=20, batch=64):
		self.sess, self.vocab, self.hidden, self.nz, self.batch = sess, vocab, hidden, nz, batch
		self.x = tf.placeholder(tf.int32, [batch, LINE])
		self.kl_weight = tf.placeholder(tf.float32, [])
		hot = tf.unpack(tf.one_hot(self.x, vocab), axis=1)

		mean, logsd = self.encode(hot)
		z = mean + tf.exp(logsd) * tf.random_normal([batch, nz])
		logits = self.decode(z)

		nll = tf.add_n([tf.nn.softmax_cross_entropy_with_logits(l, t) for l, t in zip(logits, hot)])
		kl = tf.reduce_sum(-logsd + (tf.square(mean) + tf.exp(2 * logsd) - 1) / 2, 1)
		self.nll, self.kl = tf.reduce_mean(nll), tf.reduce_mean(kl)
		self.cost = self.nll + self.kl_weight * self.kl
		self.step = tf.train.AdamOptimizer(1e-3).minimize(self.cost)

	def encode(self, xs):
		_, h = rnn.rnn(rnn_cell.GRUCell(self.hidden), xs, dtype=tf.float32, scope='enc')
		return linear(h, self.nz, 'mean'), linear(h, self.nz, 'logsd')

	def decode(self, z):
		outs, _ = rnn.rnn(rnn_cell.GRUCell(self.hidden), [z] * LINE, dtype=tf.float32, scope='dec')
		with tf.variable_scope('out') as s:
			logits = []
			for i, h in enumerate(outs):
				if i:
					s.reuse_variables()
				logits.append(linear(h, self.vocab, 'chars'))
		return logits

	def train(self, lines, epochs=50, warm=10000.):
		self.sess.run(tf.initialize_all_variables())
		it = 0
		for e in range(epochs):
			np.random.shuffle(lines)
			for i in xrange(0, len(lines) - self.batch, self.batch):
				feed = {self.x: lines[i:i + self.batch], self.kl_weight: min(1., it / warm)}
				_, nll, kl = self.sess.run([self.step, self.nll, self.kl], feed)
				it += 1
			print 'epoch', e, 'nll', nll, 'kl', kl, 'bound', -(nll + kl)

	def bound(self, lines):
		total = []
		for i in xrange(0, len(lines) - self.batch, self.batch):
			feed = {self.x: lines[i:i + self.batch], self.kl_weight: 1.}
			total.append(-self.sess.run(self.cost, feed))
		return np.mean(total)
