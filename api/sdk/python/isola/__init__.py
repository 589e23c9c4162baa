"""Python client of Isola: what the published client calls by this name, and more.

The implementation is `isola_sdk`, which can be imported beside another `isola`.
"""

from isola_sdk import *  # noqa: F403 - exactly what its `__all__` says
from isola_sdk import __all__ as __all__
from isola_sdk import __version__ as __version__
