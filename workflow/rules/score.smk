rule score:
    """Score a cell's predictions: one JSON file for all languages, and one table by example."""
    input:
        inputs("scores"),
    output:
        score=report(
            paths.SCORE.format(id="{node}"),
            category="Cells",
            subcategory=lambda wildcards: cell_of(wildcards).target,
            labels=labels_of,
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
