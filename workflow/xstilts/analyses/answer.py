"""The answer of a study: a finding in words, and the estimates that support it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from xstilts.config.schema import Analysis
from xstilts.results.tables import MISSING, STAR, escape, markdown_lines, p_value, signed

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


class Verdict(_Frozen):
    """Verdict on a published claim, for one model; values are in points."""

    claim: str
    source: str
    model: str
    verdict: str = Field(description="reproduced, contradicted or undecided.")
    holds_if: str = Field(description="The comparison that decides the claim.")
    difference: Number | None = Field(description="Left side of the comparison minus the right.")
    low: Number | None = Field(description="Simultaneous 95 % CI over all claims.")
    high: Number | None
    reported: Number | None = Field(description="The published difference.")
    seeds: int
    missing: int = Field(description="Runs without a score.")
    to_decide: str = Field(description="What an undecided claim waits for.")
    note: str


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
    claims: list[Verdict] = []
    figures: list[str] = Field(
        [], description="Stems of files; each exists as .pdf, .svg, .png and, its caption, .txt."
    )
    tables: list[str] = Field([], description="Stems of files; each exists as .csv, .md and .tex.")


def markdown(answer: Answer) -> str:
    """Return the text of `answer.md`: question, finding, figures, caveats, estimates."""
    lines = [f"# {escape(answer.question)}", ""]
    for sentence in [*answer.finding.splitlines(), *answer.power.splitlines()]:
        lines += [escape(sentence), ""]
    for stem in answer.figures:
        lines += [f"![{escape(answer.question)}]({stem}.png)", ""]
    if answer.claims:
        lines += ["Claims:", "", *map(_claim, answer.claims), ""]
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


def _claim(verdict: Verdict) -> str:
    """Return a claim as an item of a list, the verdict first."""
    value = "no difference yet"
    if verdict.difference is not None:
        ends = [MISSING if x is None else signed(x, "+") for x in (verdict.low, verdict.high)]
        value = f"{signed(verdict.difference, '+')} points (95 % CI {' to '.join(ends)})"
    parts = [
        f"{value}, holds if {verdict.holds_if}",
        "" if verdict.reported is None else f"reported {signed(verdict.reported, '+')}",
        f"to decide: {verdict.to_decide}" if verdict.to_decide else "",
        verdict.note,
    ]
    details = escape("; ".join(filter(None, parts)))
    about = escape(f"{verdict.claim} ({verdict.source}, {verdict.model})")
    return f"- **{verdict.verdict}**: {about}<br>{details}"


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
