"""What a study's analysis answers: a finding in words, and the estimates that it rests on."""

from collections.abc import Callable
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field

from xstilts.config.schema import Analysis

ANALYSES: tuple[str, ...] = get_args(Analysis)
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Frozen):
    """A number with its 95 % interval; None where the data do not determine it."""

    label: str
    value: Number | None
    low: Number | None = None
    high: Number | None = None
    n: int = Field(description="Independent units behind it: seeds, languages, recipes …")
    unit: str = Field(description="Of value, low and high, as `points` or `points per decade`.")
    p: Number | None = Field(None, description="Two-sided, against zero.")
    p_holm: Number | None = Field(None, description="Corrected over the family shown with it.")
    effect: Number | None = Field(None, description="Cohen's h of the two scores.")


class Answer(_Frozen):
    """`results/studies/<study>/answer.json`: what the study found."""

    analysis: Analysis
    question: str
    finding: str = Field(
        description="Plain sentences with their intervals, a line each; the first answers."
    )
    caveats: list[str] = []
    estimates: list[Estimate] = []
    figures: list[str] = Field([], description="Stems of files, each there as .svg and .png.")
    tables: list[str] = Field([], description="Stems of files, each there as .csv, .md and .tex.")


def markdown(answer: Answer, escape: Callable[[str], str]) -> str:
    """The text of `answer.md`: question, finding, caveats, figures, estimates.

    `escape` makes of plain text Markdown that shows it as it is.
    """
    lines = [f"# {escape(answer.question)}", ""]
    for sentence in answer.finding.splitlines():
        lines += [escape(sentence), ""]
    for stem in answer.figures:
        lines += [f"![{escape(answer.question)}]({stem}.png)", ""]
    if answer.caveats:
        lines += ["What to beware of:", "", *(f"- {escape(text)}" for text in answer.caveats), ""]
    if answer.estimates:
        effects = any(one.effect is not None for one in answer.estimates)
        head = ["Estimate", "Value", "95 % interval", "n", "p (Holm)", *["Cohen's h"] * effects]
        lines += [f"| {' | '.join(head)} |", "|:--" + "|--:" * (len(head) - 1) + "|"]
        lines += [_line(one, escape, effects) for one in answer.estimates]
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(one: Estimate, escape: Callable[[str], str], effects: bool) -> str:
    value = "–" if one.value is None else f"{one.value:.2f} {escape(one.unit)}"
    ends = "–" if one.low is None or one.high is None else f"{one.low:.2f} to {one.high:.2f}"
    p = one.p if one.p_holm is None else one.p_holm
    said = "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
    cells = [escape(one.label), value, ends, str(one.n), said]
    if effects:
        cells.append("–" if one.effect is None else f"{one.effect:.2f}")
    return f"| {' | '.join(cells)} |".replace(" -", " −")
