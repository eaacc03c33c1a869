"""Find faults in footage and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cardpose.common.command_line import Tool, checked
from cardpose.common.errors import InputError
from cardpose.labelling.checks import MAX_RESIDUAL

if TYPE_CHECKING:
    from cardpose.labelling.checks.findings import Finding

BROKEN = 1
"""Exit code where a rule is broken."""
SHOWN = 10
"""Broken rules that the terminal shows; the page has all."""


class Check(NamedTuple):
    """The findings, the most serious first, and the page that shows them."""

    findings: "Sequence[Finding]"
    page: Path


@checked
def check(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Dataset folder or cardcut footage; never changed.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write.")] = Path("check_report"),
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="split.json of a run: finds leaks.")
    ] = None,
    residual: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Distance from a box.")
    ] = MAX_RESIDUAL,
    duplicate_threshold: Annotated[float, typer.Option(min=0, metavar="GREY", help="In grey levels.")] = 3.0,
    pictures: Annotated[int, typer.Option(min=0, help="Frames on the page.")] = 200,
) -> Check:
    """Find faults in footage and labels: a finding is a suspicion, look before you change a label.

        cardpose check my_footage
        cardpose check my_footage --split outputs/RUN/split.json --out FOLDER

    Finds every broken rule of the dataset folder; corners that fit no box, and which corner or swapped pair explains
    it; names that contradict the positions; two corners in one place; copied labels; identical frames; similar
    frames in two sets of the split, or in two videos; rotated videos; missing counts.

    Files in --out:

        index.html    suspicious frames with label and box
        findings.csv  a row per finding

    The residual is the distance of the labelled corners from the box that fits them best, root mean square, as a
    share of the packet's size. Two frames are similar if they differ by less than the threshold, root mean square of
    32x24 pixels. The exit code is 1 if a rule is broken, which training would refuse.

    Returns:
        The findings, and the path of the page.

    Raises:
        InputError: an argument is invalid, the split cannot be read, or `out` cannot be written to.
    """
    from cardpose.labelling.checks.checking import check_folder

    for name, value in (("residual", residual), ("duplicate-threshold", duplicate_threshold)):
        if not value > 0:
            raise InputError(f"--{name} {value}: choose a number above 0")
    page = out / "index.html"
    return Check(check_folder(folder, page, split, residual, duplicate_threshold, pictures), page)


def show(checked: Check) -> int:
    """Print the number of findings of each kind, the first broken rules and the path of the page; the exit code."""
    from cardpose.labelling.checks.findings import Kind

    kinds = [finding.kind for finding in checked.findings]
    for kind in Kind:
        if kind in kinds:
            print(f"{kinds.count(kind):6d}  {kind.value}")
    for finding in [one for one in checked.findings if one.kind is Kind.RULE][:SHOWN]:
        print(finding.text)
    print(checked.page)
    return BROKEN if {Kind.RULE, Kind.GONE} & set(kinds) else 0


OLD_WORDS = {"data": "", "data.root": "", "split.path": "--split", "misfit": "--residual"}
main = Tool(check, show, OLD_WORDS | {"near": "--duplicate-threshold"})

if __name__ == "__main__":
    main()
