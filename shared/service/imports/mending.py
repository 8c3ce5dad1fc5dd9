"""What a spreadsheet did to a cell on its own, put right where only one thing can have been meant, and told.

Only a file is mended: over JSON a code is as it is sent. So the list of what was mended comes as pydantic's context,
and where there is none nothing is.
"""

from typing import Any

from pydantic import ValidationInfo

from shared.codes import is_municipality_code

Mended = list[tuple[str | None, str]]
"""The fields of a row that were mended, each with the code of the remark."""


def zero_put_back(value: Any, info: ValidationInfo) -> Any:
    """A municipality's code, or several, whose leading zero a spreadsheet took for a number's: 11002 for 011002.

    Put back only where the check digit then fits.
    """
    if not isinstance(info.context, list):
        return value
    codes = value if isinstance(value, tuple) else (value,)
    whole = tuple(f"0{code}" if _lost_its_zero(code) else code for code in codes)
    if whole == codes:
        return value
    info.context.append((info.field_name, "zero_put_back"))
    return whole if isinstance(value, tuple) else whole[0]


def _lost_its_zero(code: Any) -> bool:
    return isinstance(code, str) and len(code) == 5 and is_municipality_code(f"0{code}")
