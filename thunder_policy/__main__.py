"""``python -m thunder_policy``: the command ``thunder-policy``."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
