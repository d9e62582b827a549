def cell_of(wildcards):
    """The cell of a score."""
    return REQUESTS.artefact("scores", wildcards.node).cell


def labels(wildcards):
    """A cell's coordinates, as Snakemake's report lists them."""
    cell = cell_of(wildcards)
    return {"model": cell.model, "recipe": cell.recipe, "seed": str(cell.seed)}


rule score:
    """Score a cell's predictions: one JSON file for all languages, and one table by example."""
    input:
        inputs("scores"),
    output:
        score=report(
            paths.SCORE.format(id="{node}"),
            category="Cells",
            subcategory=lambda wildcards: cell_of(wildcards).target,
            labels=labels,
        ),
        examples=paths.SCORE_EXAMPLES.format(id="{node}"),
    log:
        paths.log_file("score", "{node}"),
    benchmark:
        paths.benchmark_file("score", "{node}")
    wildcard_constraints:
        node=ID,
    priority: 2
    localrule: True
    conda:
        "../../envs/xstilts.yaml"
    message:
        "score {wildcards.node}"
    shell:
        command("score") + "{wildcards.node:q}"
