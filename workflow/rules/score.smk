rule score:
    """A cell's predictions against the gold data, all languages in one JSON file, and by example."""
    input:
        predictions=lambda wildcards: [
            ancient(ARTEFACTS.scores[wildcards.node].predictions.file(dataset))
            for dataset in ARTEFACTS.scores[wildcards.node].predictions.datasets
        ],
        data=lambda wildcards: manifests(
            ARTEFACTS.scores[wildcards.node].predictions.datasets
        ),
    output:
        score=report(
            "results/scores/{node}.json",
            category="Cells",
            subcategory=lambda wildcards: ARTEFACTS.scores[wildcards.node].cell.target,
            labels=lambda wildcards: cell_labels(
                ARTEFACTS.scores[wildcards.node].cell
            ),
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
