# -*- coding: latin-1 -*-
import sys

import numpy as np
import tensorflow as tf

from charmodel import CharModel
from reader import Reader


def pick(p, temperature=1.0):
	p = np.log(p + 1e-12) / temperature
	p = np.exp(p - p.max())
	return int(np.random.choice(len(p), p=p / p.sum()))


reader = Reader('data/gedichte.txt')
model = CharModel(reader.vocab, seq_len=1, batch=1)
start = u'über den wäldern '
n = int(sys.argv[1]) if len(sys.argv) > 1 else 400

sess = tf.Session()
tf.train.Saver(tf.all_variables()).restore(sess, tf.train.latest_checkpoint('save'))
state = sess.run(model.state0)

for c in start[:-1]:
	state = sess.run(model.state, {model.x: [[reader.chars.index(c)]], model.state0: state})

c, out = reader.chars.index(start[-1]), []
while len(out) < n:
	p, state = sess.run([model.probs, model.state], {model.x: [[c]], model.state0: state})
	c = pick(p[0], 0.8)
	out.append(c)

print (start + u''.join(reader.chars[i] for i in out)).encode('utf-8')
