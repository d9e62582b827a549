"""The answer of a study: a finding in words, and the estimates that support it."""

from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field

from xstilts.config.schema import Analysis
from xstilts.results.tables import MISSING, STAR, escape, markdown_lines, p_value, signed

ANALYSES: tuple[str, ...] = get_args(Analysis)
POINTS, SHARE = "points", "share"
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Frozen):
    """A number with its 95 % CI; None where the data do not determine it."""

    label: str
    value: Number | None
    low: Number | None = None
    high: Number | None = None
    n: int = Field(description="Independent units: seeds, languages, recipes …")
    unit: str = Field(description="Of value, low and high, as `points` or `points per decade`.")
    p: Number | None = Field(None, description="Two-sided, against zero.")
    p_adjusted: Number | None = Field(
        None, description="Corrected over the family shown with it, as are low and high."
    )
    significant: bool | None = Field(
        None, description="Whether the simultaneous CI excludes zero; null without a verdict."
    )
    effect: Number | None = Field(None, description="Cohen's h of the two scores.")


class Answer(_Frozen):
    """`results/studies/<study>/answer.json`: the finding of a study."""

    analysis: Analysis
    question: str
    finding: str = Field(
        description="Sentences with their CIs, one per line; the first answers the question."
    )
    power: str = Field("", description="The smallest effect that the study finds.")
    caveats: list[str] = []
    estimates: list[Estimate] = []
    figures: list[str] = Field([], description="Stems of files; each exists as .svg and .png.")
    tables: list[str] = Field([], description="Stems of files; each exists as .csv, .md and .tex.")


def markdown(answer: Answer) -> str:
    """Return the text of `answer.md`: question, finding, figures, caveats, estimates."""
    lines = [f"# {escape(answer.question)}", ""]
    for sentence in [*answer.finding.splitlines(), *answer.power.splitlines()]:
        lines += [escape(sentence), ""]
    for stem in answer.figures:
        lines += [f"![{escape(answer.question)}]({stem}.png)", ""]
    if answer.caveats:
        lines += ["Caveats:", "", *(f"- {escape(text)}" for text in answer.caveats), ""]
    if answer.estimates:
        heads = ["Estimate", "Value", "95 % CI", "n", "p (adjusted)", "Cohen's h"]
        if all(estimate.effect is None for estimate in answer.estimates):
            heads.pop()
        rows = [
            [escape(text) for text in row(estimate)[: len(heads)]] for estimate in answer.estimates
        ]
        lines += markdown_lines(heads, rows)
    return "\n".join(lines).rstrip("\n") + "\n"


def row(estimate: Estimate) -> list[str]:
    """Return an estimate as texts; a star marks a significant value."""
    value, low, high = (
        MISSING if x is None else _number(x, estimate.unit)
        for x in (estimate.value, estimate.low, estimate.high)
    )
    if estimate.unit.startswith(POINTS) and estimate.value is not None:
        value += f" {estimate.unit}"
    value += STAR * bool(estimate.significant)
    interval = MISSING if MISSING in (low, high) else f"{low} to {high}"
    p = p_value(estimate.p if estimate.p_adjusted is None else estimate.p_adjusted)
    effect = MISSING if estimate.effect is None else signed(estimate.effect, digits=2)
    return [estimate.label, value, interval, f"{estimate.n:,}", p, effect]


def _number(value: float, unit: str) -> str:
    if unit == SHARE:
        return f"{100 * value:.0f} %"
    return signed(value, "+") if unit.startswith(POINTS) else signed(value, digits=2)
