from .base import *
from .lesion import LesionNet, FocalLesionNet
from .multi import DeepLesionNet, BoundaryLesionNet
