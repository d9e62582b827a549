DATASETS = {}
for dataset in SHARED.datasets.values():
    DATASETS.setdefault(dataset.task, []).append(dataset)

# A rule per task, so that one job prepares all languages and splits; those there already are kept.
for task, datasets in DATASETS.items():

    rule:
        name:
            f"prepare_{task}"
        input:
            downloads(datasets),
        output:
            update([f"{dataset.path}/manifest.json" for dataset in datasets]),
        log:
            f"{LOGS}/prepare/{task}.log",
        benchmark:
            f"{BENCHMARKS}/prepare/{task}.tsv"
        conda:
            "../../envs/xstilts.yaml"
        resources:
            **needs("prepare", f"prepare_{task}"),
        params:
            ids=[dataset.id for dataset in datasets],
        message:
            f"prepare {task}: {len(datasets)} data sets"
        shell:
            command("prepare") + "{params.ids:q}"
