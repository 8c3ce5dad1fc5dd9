"""The code of a letter (回答コード): short enough to type, long enough that nobody finds one by trying.

Fifteen characters of Crockford's base32 (75 random bits) and one that checks them, in four groups of four. Letters that
look like digits are read as those; full-width ones, as a Japanese keyboard writes them, are read too.
"""

import unicodedata

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BITS = 75
_LENGTH = BITS // 5
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1", "U": "V"})
_BETWEEN = str.maketrans("", "", " -‐‑‒–—―ー−")


def write_code(number: int) -> str:
    """The code of a number of 75 random bits, as it is printed."""
    signs = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
    signs += ALPHABET[-_sum(signs + "0") % len(ALPHABET)]
    return "-".join(signs[start : start + 4] for start in range(0, len(signs), 4))


def read_code(typed: str) -> str | None:
    """The code as it is kept, without what stands between its groups; None: mistyped, or no code at all."""
    if len(typed) > 64:
        return None
    signs = unicodedata.normalize("NFKC", typed).upper().translate(_BETWEEN).translate(_ALIKE)
    if len(signs) != _LENGTH + 1 or any(sign not in ALPHABET for sign in signs):
        return None
    return signs if _sum(signs) % len(ALPHABET) == 0 else None


def _sum(signs: str) -> int:
    """Luhn's sum to the base 32: it sees every wrong character, and neighbours that changed places but for 0 and Z."""
    total = 0
    for place, sign in enumerate(reversed(signs)):
        value = ALPHABET.index(sign) * (1 + place % 2)
        total += value // len(ALPHABET) + value % len(ALPHABET)
    return total
