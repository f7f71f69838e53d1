# train/val/test lists, 8:1:1 by patient
import os, random, sys

root = sys.argv[1]
random.seed(3)


def write(path, names):
    with open(path, 'w') as f:
        f.write('\n'.join(names) + '\n')


groups = {}
for name in sorted(os.listdir(root)):
    if name.endswith('.png'):
        groups.setdefault(name.split('_')[0], []).append(name)

keys = list(groups)
random.shuffle(keys)
a, b = int(.8 * len(keys)), int(.9 * len(keys))
parts = {'train': keys[:a], 'val': keys[a:b], 'test': keys[b:]}

<<<<<<< HEAD
folds = 5
=======
folds = 10
>>>>>>> crossval

for part, ks in parts.items():
    write(part + '.txt', [n for k in ks for n in groups[k]])
    print(part, len(ks))


def fold(k, n=folds):
    """patients of fold k"""
    return [p for i, p in enumerate(keys) if i % n == k]


i = 0
while i < folds:
    write('fold%d.txt' % i, [n for p in fold(i) for n in groups[p]])
    i += 1
