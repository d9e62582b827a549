# A rule for each job that shares a GPU (`cells_per_gpu`): it makes several artefacts at the same
# time. Snakemake prefers these rules to `train` and `predict_…`, as they have no wildcard.
for _job in SHARED.jobs:

    rule:
        name:
            _job.name
        input:
            inputs(_job.group, _job.ids),
        output:
            update(_job.files),
        log:
            paths.log_file(_job.phase, _job.name),
        priority: priority(_job.group, _job.ids)
        conda:
            "../../envs/xstilts.yaml"
        threads: RESOURCES.threads_of(_job.phase, _job.model, len(_job.ids))
        resources:
            **RESOURCES.keywords(_job.phase, _job.name, _job.model, _job.ids),
        params:
            phase=_job.phase,
            ids=_job.ids,
            options=RESOURCES.options(_job.phase, _job.model),
        message:
            f"{_job.phase} on one GPU: {', '.join(_job.ids)}"
        shell:
            command("{params.phase}") + "{params.ids:q} {params.options}"
