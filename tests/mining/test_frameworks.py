import pytest

from mining.artifacts import Run
from mining.extraction import extract_corpus
from mining.frameworks import FRAMEWORKS, count_frameworks, frameworks_of, known_modules
from mining.study import CorpusSettings, ScaleSettings
from tests.sources import source_of

TEXTS = [
    ("import torch", {"PyTorch"}),
    ("import torch.nn as nn", {"PyTorch"}),
    ("from torch import nn", {"PyTorch"}),
    ("    import os, torch  # late", {"PyTorch"}),
    ("from torch.nn import (\n    Linear,\n)", {"PyTorch"}),
    ("import torchvision", set()),
    ("from .torch import x", set()),
    ("# import torch", set()),
    ("imported = torch", set()),
    ("import tensorflow as tf", {"TensorFlow"}),
    ("from tensorflow import keras", {"TensorFlow", "Keras"}),
    ("from tensorflow.keras.layers import Dense", {"TensorFlow", "Keras"}),
    ("import keras, sklearn.svm", {"Keras", "Scikit-Learn"}),
    ("import cntk", {"CNTK", "Microsoft Cognitive Toolkit"}),
    ("print 'import torch'\nimport jax", {"JAX"}),
    ("", set()),
]


@pytest.mark.parametrize(("text", "frameworks"), TEXTS, ids=[t[0] for t in TEXTS])
def test_frameworks_of_a_file(text, frameworks):
    assert frameworks_of(text, known_modules()) == frameworks


def test_a_run_counts_the_files_of_each_repository(tmp_path):
    repositories = []
    for name, texts in (("o/a", ["import torch", "import torch\nimport cv2"]), ("o/b", ["x = 1"])):
        folder = tmp_path / name.replace("/", "__")
        folder.mkdir()
        for number, text in enumerate(texts):
            (folder / f"f{number}.py").write_text(f"{text}\n\ndef f():\n    pass\n")
        repositories.append(source_of(name, folder))
    run = Run(tmp_path / "run")
    extract_corpus(run, repositories, [], CorpusSettings(), {}, ScaleSettings())
    count_frameworks(run)
    assert run.read(FRAMEWORKS).to_records(index=False).tolist() == [
        ("o/a", "OpenCV", 1),
        ("o/a", "PyTorch", 2),
    ]
    before = run.path(FRAMEWORKS).stat().st_mtime_ns
    count_frameworks(run)
    assert run.path(FRAMEWORKS).stat().st_mtime_ns == before
