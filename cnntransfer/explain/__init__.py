"""Looking into a network: one module per method, one table of them.

Every method takes a :class:`~.subject.Subject` (a bundle's classifier or a bare backbone), photos
as the network sees them, and :class:`Options`, and gives an :class:`~.explanation.Explanation`: raw
arrays, facts, and how to draw them.
"""

from .methods import METHODS, Method, Of, get_method
from .options import Options

__all__ = ["METHODS", "Method", "Of", "Options", "get_method"]
