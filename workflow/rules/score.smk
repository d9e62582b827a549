rule score:
    """A cell's predictions against the gold data, all languages in one JSON file, and by example."""
    input:
        inputs("scores"),
    output:
        score=report(
            "results/scores/{node}.json",
            category="Cells",
            subcategory=lambda wildcards: cell(wildcards).target,
            labels=cell_labels,
        ),
        examples="results/scores/{node}.parquet",
    log:
        f"{LOGS}/score/{{node}}.log",
    benchmark:
        f"{BENCHMARKS}/score/{{node}}.tsv"
    wildcard_constraints:
        node=ID,
    localrule: True
    conda:
        "../../envs/xstilts.yaml"
    message:
        "score {wildcards.node}"
    shell:
        command("score") + "{wildcards.node:q}"
