"""Files from Japanese offices, taken in two steps: a dry run with a report for every row, then the commit.

The dry run does the real work and rolls it back, so that what it promises is what the commit does. `sheet` reads and
writes a CSV file itself, `forms` knows in which other form one may come, `rows` says what is wrong with it, `taking`
takes its rows in, `routes` are the two steps over HTTP. A service declares a `FileRow` and a function that takes rows
in; see docs/decisions/0013.
"""

from shared.service.imports.faults import Fault
from shared.service.imports.forms import Form
from shared.service.imports.mending import zero_put_back
from shared.service.imports.routes import import_router, read_again
from shared.service.imports.rows import FileRow, Rows
from shared.service.imports.sheet import MAX_BYTES
from shared.service.imports.taking import Became, Remarked

__all__ = [
    "MAX_BYTES",
    "Became",
    "Fault",
    "FileRow",
    "Form",
    "Remarked",
    "Rows",
    "import_router",
    "read_again",
    "zero_put_back",
]
