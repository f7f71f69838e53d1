#!/usr/bin/env python
# Character model, TensorFlow 0.12 / Python 2.7
import os
import time

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import rnn_cell, seq2seq


class CharModel(object):
	def __init__(self, vocab, size=256, layers=2, seq_len=60, batch=40, l2=1e-5):
		self.vocab, self.size, self.layers = vocab, size, layers
		self.seq_len, self.batch, self.l2 = seq_len, batch, l2
		self.build()

	def build(self, keep=0.8):
		self.x = tf.placeholder(tf.int32, [self.batch, self.seq_len])
		self.y = tf.placeholder(tf.int32, [self.batch, self.seq_len])
		self.lr = tf.Variable(2e-3, trainable=False)

		cell = rnn_cell.BasicLSTMCell(self.size)
		cell = rnn_cell.DropoutWrapper(cell, output_keep_prob=keep)
		self.cell = rnn_cell.MultiRNNCell([cell] * self.layers)
		self.state0 = self.cell.zero_state(self.batch, tf.float32)

		with tf.variable_scope('chars'):
			emb = tf.get_variable('emb', [self.vocab, self.size])
			self.w = tf.get_variable('w', [self.size, self.vocab])
			b = tf.get_variable('b', [self.vocab])
		steps = tf.split(1, self.seq_len, tf.nn.embedding_lookup(emb, self.x))
		steps = [tf.squeeze(s, [1]) for s in steps]
		outs, self.state = seq2seq.rnn_decoder(steps, self.state0, self.cell)
		flat = tf.reshape(tf.concat(1, outs), [-1, self.size])
		self.logits = tf.matmul(flat, self.w) + b
		self.probs = tf.nn.softmax(self.logits)

		self.cost = self._cost()
		tvars = tf.trainable_variables()
		grads, _ = tf.clip_by_global_norm(tf.gradients(self.cost, tvars), 5.)
		self.train_op = tf.train.AdamOptimizer(self.lr).apply_gradients(zip(grads, tvars))

	def _cost(self):
		xent = seq2seq.sequence_loss_by_example([self.logits],
				[tf.reshape(self.y, [-1])],
				[tf.ones([self.batch * self.seq_len])], self.vocab)
		xent = tf.reduce_sum(xent) / self.batch / self.seq_len
		return xent + self.l2 * tf.nn.l2_loss(self.w)

	def fit(self, reader, epochs=30, folder='save', decay=0.97):
		saver = tf.train.Saver(tf.all_variables())
		with tf.Session() as sess:
			sess.run(tf.initialize_all_variables())
			ckpt = tf.train.latest_checkpoint(folder)
			if ckpt:
				saver.restore(sess, ckpt)
				print 'restored', ckpt
			for e in xrange(epochs):
				sess.run(tf.assign(self.lr, 2e-3 * decay ** e))
				state = sess.run(self.state0)
				costs = 0.
				for i, (x, y) in enumerate(reader.batches(self.batch, self.seq_len)):
					t = time.time()
					cost, state, _ = sess.run([self.cost, self.state, self.train_op],
							{self.x: x, self.y: y, self.state0: state})
					costs += cost
					if i % 100 == 0:
						print '%d/%d cost %.3f perplexity %.2f (%.2fs)' % (
							e, i, cost, np.exp(costs / (i + 1)), time.time() - t)
				saver.save(sess, os.path.join(folder, 'char'), global_step=e)

	def perplexity(self, sess, reader):
		costs, n = 0., 0
		state = sess.run(self.state0)
		for x, y in reader.batches(self.batch, self.seq_len):
			cost, state = sess.run([self.cost, self.state], {self.x: x, self.y: y, self.state0: state})
			costs += cost
			n += 1
		return np.exp(costs / n)


if __name__ == '__main__':
	from reader import Reader
	r = Reader('data/gedichte.txt')
	print '%d characters, %d different' % (len(r.ids), r.vocab)
	CharModel(r.vocab).fit(r)
