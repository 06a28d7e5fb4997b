"""Where this user's caches are: below XDG_CACHE_HOME, or ~/.cache."""

import os


def user_cache_folder(name: str) -> str:
    """The absolute path of one of our caches; nothing is made there yet."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # the XDG rules: a relative one counts as not set
        home = os.path.expanduser("~/.cache")
    return os.path.join(home, "airshower", name)
