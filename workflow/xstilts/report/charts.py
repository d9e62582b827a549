"""The charts of the report page, as Vega-Lite specifications without data.

The page supplies the rows of each (a data source called `rows`) and sets the parameter `dark`, on
which all colours depend. They are safe for colour-blind readers; numbers, signs and shapes repeat
the information. The heat map of the page is an HTML table (`templates/grid.js`).
"""

from typing import Any

import altair as alt

from xstilts.results.colours import OKABE_ITO, OKABE_ITO_DARK

ROWS = alt.NamedData("rows")
HEADER = "\u200b"  # zero width
UNIT = "{unit}"  # of an axis; the page replaces it


def charts() -> dict[str, dict[str, Any]]:
    """Return the specifications by name."""
    specifications = {
        "languages": languages(),
        "bars": bars(),
        "curves": curves(),
        "costs": costs(),
    }
    return {name: _finished(chart) for name, chart in specifications.items()}


def _theme(light: str, dark: str) -> dict[str, str]:
    return {"expr": f"dark ? '{dark}' : '{light}'"}


INK, QUIET = _theme("#1d2129", "#e7e9ee"), _theme("#5b6270", "#a3abb9")
LINE, FAINT = _theme("#c9ced6", "#4a515d"), _theme("#e9ebef", "#2c3139")
GROUND = _theme("#ffffff", "#101419")
BLUE, RED = _theme("#0b62a4", "#6cb6f2"), _theme("#b5402b", "#f19a83")


def _finished(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart's specification with the parameters and style that all charts share."""
    axis = {
        **{"labelColor": INK, "titleColor": QUIET, "domainColor": LINE, "tickColor": LINE},
        **{"gridColor": FAINT, "labelFontSize": 12, "titleFontSize": 12},
        **{"titleFontWeight": "normal", "labelPadding": 6},
    }
    legend = {"labelColor": INK, "titleColor": QUIET, "labelFontSize": 12, "titleFontSize": 12}
    chart = chart.add_params(alt.param(name="dark", value=False)).configure(
        aria=False,  # the container has the name, and a table repeats the numbers
        background="transparent",
        font="ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif",
        axis=axis,
        legend={**legend, "titleFontWeight": "normal"},
        header={"labelColor": QUIET, "titleColor": QUIET, "labelFontSize": 12},
        view={"stroke": None},
    )
    return chart.to_dict()


def languages() -> alt.LayerChart:
    """Return the chart of gains by language.

    Rows: name, rank, value, low, high, sign, clear, and the tooltip's texts. A row whose name
    begins with HEADER is the heading of the group below it and has no other values.
    """
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("Language", "Gain", "Interval", "n")]
    is_head = alt.datum.value[0] == HEADER
    base = alt.Chart(ROWS).encode(
        y=alt.Y("name:N", sort=alt.EncodingSortField("rank", op="min"), title=None).axis(
            ticks=False,
            domain=False,
            labelLimit=170,
            labelFontWeight=alt.condition(is_head, alt.value("bold"), alt.value("normal")),
        ),
        tooltip=tooltip,
    )
    zero = alt.Chart(ROWS).mark_rule(stroke=LINE).encode(x=alt.datum(0))
    known = base.transform_filter("isValid(datum.value)")
    ends = known.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="gain in points", axis=alt.Axis(tickCount=6)),
        x2="high:Q",
        color=_sign_colour(),
    )
    filled = f"datum.sign === 'gain' ? ({BLUE['expr']}) : ({RED['expr']})"
    point = known.mark_point(
        size=64,
        opacity=1,
        strokeWidth=2,
        fill={"expr": f"datum.clear ? ({filled}) : ({GROUND['expr']})"},
    ).encode(x="value:Q", stroke=_sign_colour(alt.Stroke))
    names = base.mark_point(opacity=0)  # reserves the rows of the headings
    return alt.layer(zero, names, ends, point).properties(height=alt.Step(23))


def _sign_colour(channel: type = alt.Color) -> alt.Color | alt.Stroke:
    scale = alt.Scale(domain=["gain", "loss"], range=[BLUE, RED])
    return channel("sign:N", scale=scale, legend=None)


def bars() -> alt.LayerChart:
    """Return the bars of one run by language.

    Rows: name, rank, value, low, high, sign, and the tooltip's texts.
    """
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("Language", "Gain", "Interval", "Score", "n")]
    base = alt.Chart(ROWS).encode(
        y=alt.Y("name:N", sort=alt.EncodingSortField("rank", op="min"), title=None).axis(
            ticks=False, domain=False, labelLimit=150
        ),
        tooltip=tooltip,
    )
    bar = base.mark_bar(height=12, cornerRadiusEnd=2).encode(
        x=alt.X("value:Q", title=UNIT, axis=alt.Axis(tickCount=6)), color=_sign_colour()
    )
    ends = base.mark_rule(stroke=INK, strokeWidth=1.3).encode(x="low:Q", x2="high:Q")
    return alt.layer(bar, ends).properties(height=alt.Step(22))


def curves() -> alt.FacetChart:
    """Return the learning curves of a step, a line per seed. Rows: series, step, value, run."""
    colours = [_theme(*pair) for pair in zip(OKABE_ITO, OKABE_ITO_DARK, strict=True)]
    legend = alt.Legend(orient="bottom", symbolType="stroke")
    line = (
        alt.Chart(ROWS)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("step:Q", title="optimiser step", axis=alt.Axis(grid=False, tickCount=5)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)),
            color=alt.Color("run:N", title=None, scale=alt.Scale(range=colours), legend=legend),
            strokeDash=alt.StrokeDash("run:N", title=None, legend=legend),
            tooltip=["run:N", "step:Q", "value:Q"],
        )
        .properties(height=150)
    )
    header = alt.Header(title=None, labelAnchor="start", labelFontWeight="bold")
    return line.facet(
        facet=alt.Facet("series:N", header=header), columns=1, spacing=14
    ).resolve_scale(y="independent", x="independent")


def costs() -> alt.Chart:
    """Return the bars of each recipe's cost. Rows: recipe, rank, phase, order, hours."""
    kinds = ["own steps", "shared steps", "target", "predict"]
    light = ["#0072B2", "#9CC9E6", "#E69F00", "#B9BEC8"]
    dark = ["#56B4E9", "#2E5F80", "#F0B93A", "#6B7280"]
    colours = [_theme(*pair) for pair in zip(light, dark, strict=True)]
    return (
        alt.Chart(ROWS)
        .mark_bar(height=14)
        .encode(
            y=alt.Y("recipe:N", sort=alt.EncodingSortField("rank", op="min"), title=None).axis(
                ticks=False, domain=False, labelLimit=190
            ),
            x=alt.X("hours:Q", title=UNIT, axis=alt.Axis(tickCount=5)),
            color=alt.Color(
                "phase:N", title=None, scale=alt.Scale(domain=kinds, range=colours)
            ).legend(orient="top", columns=2),
            order=alt.Order("order:Q"),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("Recipe", "Part", "Time")],
        )
        .properties(height=alt.Step(24))
    )
