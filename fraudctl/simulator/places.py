"""Countries of the simulation: their location, the cards at home there, and the distances between them."""

import math
from functools import cache

import numpy as np

from fraudctl.simulator.draws import Ints

# Latitude and longitude of the largest city, in degrees; the weight is the share of the cards at home there.
HOME: dict[str, tuple[float, float, float]] = {
    "DE": (52.52, 13.40, 0.32),
    "FR": (48.86, 2.35, 0.20),
    "IT": (41.90, 12.50, 0.14),
    "ES": (40.42, -3.70, 0.12),
    "NL": (52.37, 4.90, 0.10),
    "BE": (50.85, 4.35, 0.06),
    "AT": (48.21, 16.37, 0.06),
}
# Countries where no card is at home: holders travel there, and stolen data is used there.
ABROAD: dict[str, tuple[float, float]] = {
    "GB": (51.51, -0.13),
    "TR": (41.01, 28.98),
    "US": (40.71, -74.01),
    "BR": (-23.55, -46.63),
    "ZA": (-33.92, 18.42),
    "AE": (25.20, 55.27),
    "TH": (13.76, 100.50),
    "SG": (1.35, 103.82),
}
COUNTRIES = (*HOME, *ABROAD)
FIRST_ABROAD = len(HOME)
_EARTH_KM = 6371.0


@cache
def distances_km() -> Ints:
    """Return the great-circle distances between all countries, as a square table in whole kilometres.

    The rounding hides the last digit of a sine, which depends on the machine.
    """
    points = [
        (math.radians(place[0]), math.radians(place[1])) for place in (*HOME.values(), *ABROAD.values())
    ]
    table = np.zeros((len(points), len(points)), dtype=np.int64)
    for row, (latitude, longitude) in enumerate(points):
        for column, (other_latitude, other_longitude) in enumerate(points):
            half = (
                math.sin((other_latitude - latitude) / 2) ** 2
                + math.cos(latitude)
                * math.cos(other_latitude)
                * math.sin((other_longitude - longitude) / 2) ** 2
            )
            table[row, column] = round(2 * _EARTH_KM * math.asin(math.sqrt(min(1.0, half))))
    return table
