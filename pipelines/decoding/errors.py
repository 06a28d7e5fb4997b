"""What is raised for a file that can't be used."""


class MediaError(ValueError):
    """A file that can't be used as a video; the message is one line with the path, what is wrong and the remedy."""
