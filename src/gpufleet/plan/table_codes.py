"""What the codes of findings in tables mean: CSV files and workbooks beside the plan."""

from __future__ import annotations

from typing import Final

from gpufleet.base.errors import explain_codes

BROKEN: Final = "P100"
OTHER_KIND: Final = "P101"
MACROS: Final = "P102"
PASSWORD: Final = "P103"
TOO_MUCH: Final = "P104"
WHICH_SHEET: Final = "P105"
HIDDEN_SHEET: Final = "P106"
MERGED: Final = "P107"
FORMULA: Final = "P108"
ERROR_CELL: Final = "P109"
TWICE: Final = "P110"
NO_HEADER: Final = "P111"
UNUSABLE: Final = "P112"
GAP: Final = "P113"
EXCLUDE: Final = "P114"

_TEXT: Final = """
P100 a workbook that cannot be opened
The file is called a workbook, but is none, or is damaged: Excel could not open it either, or it is of a
variant that nobody but Excel reads.
    deliveries: supply.xlsx      # a text file that was renamed

P101 another kind of spreadsheet
Tables are read from CSV files (UTF-8) and from Excel workbooks (.xlsx). The old .xls, binary .xlsb,
OpenDocument .ods and Numbers are not read; each of these programs can save as .xlsx.
    deliveries: supply.xls

P102 a workbook with macros
A workbook with macros (.xlsm) is a program. A plan holds facts, so it is refused, whatever the macros do.
    deliveries: supply.xlsm      # save it as .xlsx

P103 a workbook with a password
The content of the workbook is encrypted.
    deliveries: secret.xlsx      # save it without the password

P104 a workbook that unpacks to too much
A workbook is a compressed archive. One that unpacks to hundreds of megabytes is damaged, holds something
else than a table, or was made to exhaust the memory of whoever opens it.
    deliveries: bomb.xlsx        # 1 MB, unpacks to 4,000 MB

P105 which sheet is meant
A table is the sheet that `sheet` names; without it the sheet that is called like the part of the plan, or
the only sheet.
    deliveries: {table: supply.xlsx, sheet: Lots}      # the sheets are `lots` and `notes`

P106 a hidden sheet
What a plan is made of can be seen. A hidden sheet is not read.
    deliveries: {table: supply.xlsx, sheet: old}

P107 merged cells
Only the first of merged cells holds the value; the others are empty, although they do not look so.
    A2:A5 merged over four lots  # unmerge them, and write the value into each row

P108 a formula where a value belongs
What a formula shows was computed when the workbook was last saved, by another program, from cells that the
plan does not see. A plan holds values, each found by its cell.
    C7: =C5*8                    # copy, then paste as values

P109 a cell that holds an error
The spreadsheet itself could not say what stands there: #REF!, #N/A, #DIV/0!, #VALUE!, #NAME?
    C7: #REF!

P110 one column twice
Two columns have one header; which one is meant cannot be known.
    name,gpus,gpus

P111 values without a header
The first row of a table says what its columns hold. A column with values and no header would be ignored.
    name,to,,at                  # and the third column has values

P112 a cell that is no value of a plan
A time of the day without a date, or another kind of cell that no key of a plan takes.
    duration: 01:30              # formatted as a time of day; write `90 min`

P113 many empty rows inside a table
Something stands far below the table, after a great many rows that are formatted but empty. It may be part
of the table, or forgotten.
    A1048576: x                  # delete the rows between, or the cell

P114 columns that exclude each other
One column holds the value of a key, another one a part of it.
    name,quota,quota.B200-SXM
"""

explain_codes(_TEXT)
