from .model import SimCon  # noqa: F401
from .losses import *  # noqa: F401,F403
