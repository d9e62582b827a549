# A rule for each task: one job prepares all languages and splits; update() keeps those that exist.
for _task, _datasets in REQUESTS.by_task("datasets").items():

    rule:
        name:
            f"prepare_{_task}"
        input:
            lambda _, datasets=_datasets: ancient(REQUESTS.downloads(datasets)),
        output:
            update([dataset.files[-1] for dataset in _datasets]),
        log:
            paths.log_file("prepare", _task),
        benchmark:
            paths.benchmark_file("prepare", _task)
        conda:
            "../../envs/xstilts.yaml"
        resources:
            **RESOURCES.keywords("prepare", f"prepare_{_task}"),
        params:
            ids=[dataset.id for dataset in _datasets],
        message:
            f"prepare {_task}: {len(_datasets)} data sets"
        shell:
            command("prepare") + "{params.ids:q}"
