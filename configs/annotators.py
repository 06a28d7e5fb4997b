"""The networks that compute a depth or segmentation control, or a mask, from a row's video where it names no file.

They are the same for every model and belong to none: names are those of `airshower.configs.published`, and of the
folders that hold them.
"""

DEPTH = "depth-anything-v2-small"
DETECTOR = "grounding-dino"
TRACKER = "sam2"
ANNOTATORS = (DEPTH, DETECTOR, TRACKER)

# what rows ask for, as `ClipSpec.asked_features` says it
ANNOTATOR_FEATURES = frozenset({"depth-annotator", "seg-annotator", "mask-annotator"})
