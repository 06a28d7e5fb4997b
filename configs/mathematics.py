"""The version of what turns a row into frames.

Part of every row's key: a change after which the same row and weights give other frames (a sampler's arithmetic, the
order of random numbers, a resize) raises it, so that no run takes old clips for new ones. Other changes leave it alone.
"""

MATHEMATICS = 2
