"""Airshower: Ray-native batch generation of controllable world video.

The package is thin: its subpackages are the repository's top-level folders, reached through links, so that
`platform/` never shadows the standard library's `platform`. Where a checkout lost its links (an archive
without symbolic links, say) the repository root takes their place on this package's path.
"""

from pathlib import Path

__version__ = "0.1.0"

_here = Path(__file__).parent
if not (_here / "models").is_dir():
    __path__.append(str(_here.parent))
