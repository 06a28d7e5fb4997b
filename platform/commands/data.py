"""`airshower data`: sample clips with exact ground truth, in the row format.

What a clip holds and how it is made is `airshower.pipelines.world`; here are only the flags and the progress.
"""

import re
import sys
from typing import Annotated, Literal

import typer

from airshower.platform.progress import clock_words

data_app = typer.Typer(help="Sample data.", no_args_is_help=True)
