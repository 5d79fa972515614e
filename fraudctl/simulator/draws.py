"""Random numbers, and functions of them, that have the same bits on every machine.

NumPy guarantees, for every version, the raw sequence of PCG64 and the seeds that SeedSequence makes. It
guarantees neither its distributions nor the last digit of exp and log, which depends on the processor. So
only raw integers are taken from it. Everything else is plain arithmetic, element by element, which IEEE 754
defines to the last bit. Sums of many floats are avoided for the same reason.
"""

from zlib import crc32

import numpy as np
import numpy.typing as npt
from numpy.random import PCG64, SeedSequence

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_UNIT = 2.0**-53
_LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has so few digits that whole multiples of it are exact.
_LN2_HIGH, _LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
# P. J. Acklam's rational approximation of the normal quantile, relative error below 1.2e-9.
_CENTRE = (
    (
        *(-3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02),
        *(1.383577518672690e02, -3.066479806614716e01, 2.506628277459239e00),
    ),
    (
        *(-5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02),
        *(6.680131188771972e01, -1.328068155288572e01, 1.0),
    ),
)
_TAIL = (
    (
        *(-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00),
        *(-2.549732539343734e00, 4.374664141464968e00, 2.938163982698783e00),
    ),
    (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00, 1.0),
)
_TAIL_BELOW = 0.02425
_MOST_POISSON = 400


class Draws:
    """A stream of random numbers for one purpose; another purpose, or other numbers, give another stream."""

    def __init__(self, seed: int, purpose: str, *numbers: int) -> None:
        """Open the stream that `seed`, `purpose` and `numbers` identify."""
        self._bits = PCG64(SeedSequence(seed, spawn_key=(crc32(purpose.encode()), *numbers)))

    def words(self, count: int) -> Words:
        """Return `count` random 64-bit words."""
        return np.asarray(self._bits.random_raw(count), dtype=np.uint64)

    def uniform(self, count: int) -> Floats:
        """Return `count` numbers in [0, 1), with 53 random bits each."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * _UNIT

    def between(self, low: float, high: float, count: int) -> Floats:
        """Return `count` numbers in [low, high)."""
        return low + self.uniform(count) * (high - low)

    def below(self, bound: "int | Ints", count: int) -> Ints:
        """Return `count` whole numbers from 0 to `bound` - 1; `bound` is one number, or one for each."""
        return (self.uniform(count) * bound).astype(np.int64)

    def normal(self, count: int) -> Floats:
        """Return `count` normally distributed numbers, with mean 0 and standard deviation 1."""
        return normal_quantile(self.uniform(count) + _UNIT / 2)

    def poisson(self, mean: Floats) -> Ints:
        """Return one Poisson number for each mean, by counting steps of the distribution below a draw."""
        chance = self.uniform(len(mean))
        term = exp(-mean)
        reached = term.copy()
        counts = np.zeros(len(mean), dtype=np.int64)
        for number in range(1, _MOST_POISSON):
            above = chance >= reached
            if not above.any():
                break
            counts += above
            term = term * mean / number
            reached = reached + term
        return counts

    def order(self, count: int) -> Ints:
        """Return the numbers from 0 to `count` - 1 in random order."""
        return sorted_places((self.words(count) >> np.uint64(32)).astype(np.int64))


def sorted_places(keys: Ints) -> Ints:
    """Return the indices that sort `keys` in ascending order; equal keys stay in their order.

    The keys must lie in [0, 2^39). Index and key share one integer, so that no two are equal: NumPy sorts
    those with the processor's fastest method, and every method gives the same result.
    """
    if len(keys) >= 1 << 24:
        return np.argsort(keys, kind="stable")
    both = np.sort((keys << 24) | np.arange(len(keys)))
    return both & ((1 << 24) - 1)


def exp(x: Floats) -> Floats:
    """Return e^x for |x| < 700, with a relative error of about 1e-15."""
    whole = np.rint(x * _LOG2_E)
    rest = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    result = np.ones_like(rest)
    for number in range(13, 0, -1):
        result = result * rest / number + 1.0
    return np.ldexp(result, whole.astype(np.int32))


def log(x: Floats) -> Floats:
    """Return the natural logarithm of numbers above 0, to about 1e-14."""
    fraction, power = np.frexp(x)
    low = fraction < 0.7071067811865476
    fraction = np.where(low, fraction * 2.0, fraction)
    power = (power - low).astype(np.float64)
    slope = (fraction - 1.0) / (fraction + 1.0)
    square = slope * slope
    series = np.zeros_like(slope)
    for number in range(19, 0, -2):
        series = series * square + 1.0 / number
    return power * _LN2_HIGH + (power * _LN2_LOW + 2.0 * slope * series)


def normal_quantile(chance: Floats) -> Floats:
    """Return the quantile of the normal distribution for each probability `chance`, in (0, 1)."""
    centred = chance - 0.5
    square = centred * centred
    result = _ratio(_CENTRE, square) * centred
    outside = np.flatnonzero(np.abs(centred) > 0.5 - _TAIL_BELOW)
    edge = chance[outside]
    distance = np.sqrt(-2.0 * log(np.minimum(edge, 1.0 - edge)))
    # The ratio is the quantile of the lower tail, below zero; the upper tail mirrors it.
    result[outside] = np.where(edge < 0.5, 1.0, -1.0) * _ratio(_TAIL, distance)
    return result


def _ratio(factors: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    above, below = (_polynomial(numbers, x) for numbers in factors)
    return above / below


def _polynomial(factors: tuple[float, ...], x: Floats) -> Floats:
    result = np.full_like(x, factors[0])
    for factor in factors[1:]:
        result = result * x + factor
    return result
