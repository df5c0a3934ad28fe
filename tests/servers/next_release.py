"""Settings for `collectstatic`: this version with files of NEXT_STATIC in place of its own."""

import os

from chatapp.settings import *  # noqa: F403
from chatapp.settings import STATICFILES_DIRS as OURS

STATICFILES_DIRS = [os.environ["NEXT_STATIC"], *OURS]
