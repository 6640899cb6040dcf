"""The short side-by-side of a result with the paper's table, as it stands in paper_tables/.

python -m hyprepro.tables results/table2/desktop/result.json > paper_tables/table2.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from hyprepro.errors import UserError
from hyprepro.reports.reading import read_result
from hyprepro.reports.report import framed, report_of


def main(arguments: list[str]) -> str:
    """The side-by-side of one result.json.

    Raises:
        UserError: Not exactly one path, or no readable result there.
    """
    if len(arguments) != 1:
        raise UserError("One result.json is needed.", fix="python -m hyprepro.tables RESULT.json")
    result = read_result(Path(arguments[0]))
    return framed(report_of(result).side_by_side(result), result)


if __name__ == "__main__":
    try:
        sys.stdout.write(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(str(error))
