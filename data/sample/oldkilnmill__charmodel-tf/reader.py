import codecs
import collections
import cPickle
import os

import numpy as np

# Umlaute (ä, ö, ü) und ß bleiben stehen, alles andere wird klein gemacht
KEEP = set('abcdefghijklmnopqrstuvwxyzäöüß .,;:!?-\n')


class Reader(object):
	def __init__(self, path, cut=3):
		self.path = path
		cache = path + '.pkl'
		if os.path.exists(cache):
			print 'using', cache
			self.chars, self.ids = cPickle.load(open(cache, 'rb'))
		else:
			text = codecs.open(path, 'r', 'latin-1').read().lower()
			text = [c for c in text if c.encode('latin-1') in KEEP]
			count = collections.Counter(text)
			self.chars = [c for c, n in count.most_common() if n >= cut]
			lookup = dict(zip(self.chars, xrange(len(self.chars))))
			self.ids = np.array([lookup[c] for c in text if c in lookup], np.int32)
			cPickle.dump((self.chars, self.ids), open(cache, 'wb'), -1)
		self.vocab = len(self.chars)

	def batches(self, batch, seq_len):
		n = len(self.ids) / (batch * seq_len)
		if n == 0:
			raise ValueError, 'text too short for batch %d x %d' % (batch, seq_len)
		x = self.ids[:n * batch * seq_len]
		y = np.roll(x, -1)
		for a, b in zip(np.split(x.reshape(batch, -1), n, 1), np.split(y.reshape(batch, -1), n, 1)):
			yield a, b
