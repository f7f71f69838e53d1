import pytest

from mining.code import RepositoryCode
from mining.hierarchy import ancestry, functions_by_class

TREE = {
    "base.ipynb": "class Base: pass\n",  # which no import finds
    "base.py": "class Base(object):\n    def build(self): pass\n",
    "pkg/__init__.py": "from .core import Core as PublicCore\nfrom .star import *\n",
    "pkg/core.py": "import torch.nn as nn\nfrom torch import nn as other\nclass Core(nn.Module):\n    def forward(self): pass\n",
    "pkg/star.py": "class Starred: pass\n",
    "pkg/sub/deep.py": "from ..core import Core\nfrom ...base import Base\nclass Deep(Core, Base): pass\n",
    "pkg/twin.py": "class Twin: pass\n",
    "other/twin.py": "class Twin: pass\n",
    "pkg/near.py": "from twin import Twin\nclass Near(Twin): pass\n",
    "use.py": (
        "import pkg\nimport base as b\nfrom pkg import PublicCore, Starred\nfrom pkg.core import Core\n"
        "import pytorch_lightning as pl\n"
        "class A(PublicCore): pass\n"
        "class B(pkg.PublicCore): pass\n"
        "class C(b.Base): pass\n"
        "class D(Starred): pass\n"
        "class E(pl.LightningModule): pass\n"
        "class F(Unknown): pass\n"
        "class G(A): pass\n"
        "class Outer:\n    class Inner: pass\n    class Child(Inner): pass\n"
        "class Loop(Loop): pass\n"
    ),
}

RESOLVED = [
    ("use.py::A", ("pkg/core.py::Core",)),
    ("use.py::B", ("pkg/core.py::Core",)),
    ("use.py::C", ("base.py::Base",)),
    ("use.py::D", ("pkg/star.py::Starred",)),
    ("use.py::E", ("pytorch_lightning.LightningModule",)),
    ("use.py::F", ("Unknown",)),
    ("use.py::G", ("use.py::A",)),
    ("use.py::Outer.Child", ("use.py::Outer.Inner",)),
    ("use.py::Loop", ("Loop",)),
    ("pkg/core.py::Core", ("torch.nn.Module",)),
    ("pkg/sub/deep.py::Deep", ("pkg/core.py::Core", "base.py::Base")),
    ("pkg/near.py::Near", ("pkg/twin.py::Twin",)),
]


@pytest.fixture(scope="module")
def code():
    return RepositoryCode("o/n", None, TREE)


@pytest.mark.parametrize(("key", "bases"), RESOLVED)
def test_bases_are_followed_through_imports(code, key, bases):
    assert code.classes[key].resolved_bases == bases


def test_ancestry_is_nearest_first(code):
    assert ancestry("use.py::G", code.classes) == [
        "use.py::G",
        "use.py::A",
        "pkg/core.py::Core",
        "torch.nn.Module",
    ]


def test_ancestry_of_a_cycle_ends():
    code = RepositoryCode("o/n", None, {"a.py": "class A(B): pass\nclass B(A): pass\n"})
    assert ancestry("a.py::A", code.classes) == ["a.py::A", "a.py::B"]


def test_an_import_cycle_ends():
    code = RepositoryCode(
        "o/n",
        None,
        {"a.py": "from b import X\nclass A(X): pass\n", "b.py": "from a import X\n"},
    )
    assert code.classes["a.py::A"].resolved_bases == ("b.X",)


@pytest.mark.parametrize(
    ("follow", "names"),
    [(True, ["Child.loss", "Base.build"]), (False, ["Child.loss"])],
)
def test_functions_by_class(follow, names):
    code = RepositoryCode(
        "o/n",
        None,
        {
            "base.py": "class Base:\n    def build(self): pass\n",
            "m.py": "from base import Base\nclass Child(Base):\n    def loss(self): pass\n",
        },
    )
    snippets = [s for e in code.extractions.values() for s in e.snippets]
    found = functions_by_class(snippets, code.classes.values(), follow=follow)
    assert [s.qualname for s in found["m.py::Child"]] == names
