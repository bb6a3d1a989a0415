# The package's two names, typed by its own source. Without this file mypy cannot read the stubs
# where thunder itself is not installed.

from thunder.__version__ import __version__ as __version__
from thunder.torch import ThunderModule as ThunderModule
