"""Named colours of the sample world, as sRGB bytes; captions use the same names.

Each table maps a word that may appear in a caption to the paint that a camera would see under white light.
"""

Colour = tuple[int, int, int]

VEHICLE_COLOURS: dict[str, Colour] = {
    "red": (186, 24, 30),
    "blue": (26, 70, 168),
    "white": (232, 232, 228),
    "black": (24, 24, 27),
    "silver": (158, 163, 168),
    "yellow": (232, 186, 28),
    "green": (32, 104, 58),
    "orange": (222, 102, 24),
}

BUILDING_COLOURS: dict[str, Colour] = {
    "brick": (142, 74, 56),
    "grey": (138, 140, 142),
    "beige": (196, 176, 142),
    "white": (216, 212, 204),
    "brown": (116, 88, 66),
    "blue": (112, 134, 156),
    "yellow": (204, 172, 104),
    "pink": (196, 150, 138),
}

FOLIAGE_COLOURS: dict[str, Colour] = {
    "green": (66, 106, 38),
    "dark green": (38, 74, 40),
    "light green": (112, 140, 48),
    "golden": (190, 138, 36),
    "rust": (164, 78, 34),
}

ROOF_COLOURS: tuple[Colour, ...] = ((120, 58, 44), (78, 78, 84), (92, 70, 58), (62, 70, 82))
CLOTH_COLOURS: tuple[Colour, ...] = (
    (170, 50, 48),
    (48, 70, 120),
    (60, 60, 64),
    (196, 190, 178),
    (70, 110, 78),
    (200, 150, 60),
)
