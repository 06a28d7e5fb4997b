"""What all stores have in common: which paths they take, and how a location that can't be one is refused."""


class StoreError(OSError):
    """A location can't hold a run's files: one line that says what and where, the rule, and the remedy."""


def relative_path(path: str) -> str:
    """`path` itself if it names something below a store's location; raises ValueError otherwise."""
    if path == "" or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError(f"{path!r} is no path in a store: expected names joined by '/', like 'a/b.json'")
    return path
